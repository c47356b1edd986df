"""docs/jobs.md: the kind that it shows is a whole one."""

import re
from pathlib import Path
from typing import Any

import pytest

from internal.services.jobs.kind import Kind
from internal.services.jobs.runner import Runner
from tests.integration.jobs.house import FAILED, SUCCEEDED, House

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs" / "jobs.md"


@pytest.fixture
def kind() -> Kind[Any]:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    module: dict[str, Any] = {"__name__": "invoice_book"}
    exec(compile(example, str(PAGE), "exec"), module)
    kind: Kind[Any] = module["KIND"]
    return kind


@pytest.mark.parametrize(
    ("cents", "status", "effects"), [(100, SUCCEEDED, 1), (100_001, FAILED, 0)]
)
async def test_the_example_does_what_the_page_says(
    house: House, kind: Kind[Any], cents: int, status: str, effects: int
) -> None:
    payload = {"invoice_id": "42", "cents": cents}
    job = await house.enqueue(kind=kind.name, payload=payload)
    runner = Runner(house.unit_of_work, {kind.name: kind}, house.services())
    assert [await runner.run(job.id) for _ in range(2)] == [status, None]
    assert await house.effects() == effects
