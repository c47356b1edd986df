from collections.abc import AsyncGenerator, Iterator

import pytest

from tests.conftest import MakeSettings
from tests.unit.dao.records import Library, open_library
from tests.unit.infra.log import Log, logging_of


@pytest.fixture
async def library(make_settings: MakeSettings, anyio_backend: object) -> AsyncGenerator[Library]:
    async with open_library(make_settings()) as library:
        yield library


@pytest.fixture
def log(make_settings: MakeSettings) -> Iterator[Log]:
    """JSON lines of level INFO and above."""
    with logging_of(make_settings()) as log:
        yield log
