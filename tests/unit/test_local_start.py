"""A start of `local` prints where to look, and works as it was written down there."""

import re

import pytest

from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.unit.http.serving import Lines, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Lines:
    return Lines(lambda: capsysbinary.readouterr().out)


async def test_local_prints_the_docs_page_and_health_and_both_answer(
    make_settings: MakeSettings, lines: Lines
) -> None:
    settings = make_settings(APP_ENV="local", DEBUG=True, PORT=8123)
    migrate(settings)
    async with serving(settings) as served:
        told = " ".join(line["message"] for line in lines.all)
        urls = re.findall(r"http://127\.0\.0\.1:8123(/\S*)", told)
        assert urls == ["/docs", "/readyz"]
        for url in urls:
            assert (await served.http.get(url)).status_code == 200


@pytest.mark.parametrize("app_env", ["test", "dev"])
async def test_elsewhere_nobody_is_pointed_at_this_machine(
    make_settings: MakeSettings, lines: Lines, app_env: str
) -> None:
    async with serving(make_settings(APP_ENV=app_env)):
        assert "127.0.0.1" not in lines.raw.decode()
        (ready,) = [line for line in lines.all if line["message"] == "ready"]
        assert ready["app_env"] == app_env
