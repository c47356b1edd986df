from collections.abc import AsyncGenerator

import pytest

from tests.conftest import MakeSettings
from tests.unit.dao.records import Library, open_library


@pytest.fixture
async def library(make_settings: MakeSettings, anyio_backend: object) -> AsyncGenerator[Library]:
    async with open_library(make_settings()) as library:
        yield library
