from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from internal.dao.database_time import database_now

HOUR = timedelta(hours=1)
PRECISION = timedelta(seconds=30)  # of two clocks and a slow machine, far from a time zone


async def assert_tells_utc(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        statement = select(database_now(), database_now(HOUR), database_now(-HOUR / 3600000))
        now, later, earlier = (await connection.execute(statement)).one()
    assert isinstance(now, datetime)
    assert abs(now - datetime.now(UTC)) < PRECISION
    assert abs(later - now - HOUR) <= timedelta(milliseconds=2)
    assert timedelta(0) <= now - earlier <= timedelta(milliseconds=3)


@pytest.mark.anyio
async def test_the_databases_clock_tells_utc_and_takes_an_offset(engine: AsyncEngine) -> None:
    await assert_tells_utc(engine)


@pytest.mark.anyio
async def test_sqlites_clock_is_read_like_a_stored_time() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    await assert_tells_utc(engine)
    await engine.dispose()
