"""What holds in every session of the database, on both drivers and on both servers."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, Row, create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.infra.database import connect_args, database_url, engine_options
from internal.services.unit_of_work import UnitOfWork
from tests.integration.notes import Note, create_tables
from tests.servers import DatabaseServer

pytestmark = pytest.mark.anyio

SESSION = text(
    "SELECT @@session.time_zone, @@session.character_set_client,"
    " @@session.character_set_connection, @@session.character_set_results,"
    " UNIX_TIMESTAMP('2026-01-01 00:00:00'), TIMEDIFF(NOW(), UTC_TIMESTAMP())"
)
PROMISED = (
    "+00:00",
    *("utf8mb4", "utf8mb4", "utf8mb4"),
    Decimal(int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())),
    timedelta(0),
)
ISOLATION = {"mariadb": "@@session.tx_isolation", "mysql": "@@session.transaction_isolation"}


@contextmanager
def blocking(settings: Settings) -> Generator[Connection]:
    """A connection on the driver that migrations use."""
    engine = create_engine(
        database_url(settings, driver="pymysql"),
        connect_args=connect_args(settings),
        poolclass=NullPool,
        **engine_options(settings),
    )
    with engine.connect() as connection:
        yield connection


async def test_sessions_are_utc_and_utf8mb4(engine: AsyncEngine, settings: Settings) -> None:
    async with engine.connect() as connection:
        row: Row[Any] = (await connection.execute(SESSION)).one()
        assert tuple(row) == PROMISED
    with blocking(settings) as connection:
        assert tuple(connection.execute(SESSION).one()) == PROMISED


async def test_transactions_are_read_committed(
    engine: AsyncEngine, settings: Settings, database_server: DatabaseServer
) -> None:
    isolation = text(f"SELECT {ISOLATION[database_server.name]}")
    async with engine.connect() as connection:
        assert await connection.scalar(isolation) == "READ-COMMITTED"
    with blocking(settings) as connection:
        assert connection.scalar(isolation) == "READ-COMMITTED"


async def test_a_transaction_sees_what_others_have_committed_meanwhile(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(create_tables)
    uow = UnitOfWork(engine, Snowflake(1))
    async with uow.begin() as reader:
        assert (await reader.scalars(select(Note.slug))).all() == []
        async with uow.begin() as writer:
            writer.add(Note(title="new", slug="new"))
        assert (await reader.scalars(select(Note.slug))).all() == ["new"]


async def test_instants_keep_their_microseconds_and_come_back_in_utc(engine: AsyncEngine) -> None:
    instant = datetime(2026, 2, 3, 4, 5, 6, 123456, timezone(timedelta(hours=8)))
    async with AsyncSession(engine) as session:
        await (await session.connection()).run_sync(create_tables)
        session.add(Note(id=1, title="t", slug="s", created_at=instant, updated_at=instant))
        await session.commit()
        session.expunge_all()
        note = await session.get_one(Note, 1)
        assert note.created_at == instant
        assert note.created_at.isoformat() == "2026-02-02T20:05:06.123456+00:00"


async def test_keys_are_told_apart_byte_by_byte_and_text_is_any_of_unicode(
    engine: AsyncEngine,
) -> None:
    slugs = ["key", "KEY", "kéy", "Straße", "strasse", "键", "🗝️"]
    async with AsyncSession(engine) as session:
        await (await session.connection()).run_sync(create_tables)
        now = datetime.now(UTC)
        for number, slug in enumerate(slugs):
            session.add(Note(id=number, title=slug, slug=slug, created_at=now, updated_at=now))
        await session.commit()
        session.expunge_all()
        assert (await session.scalars(select(Note.slug).order_by(Note.id))).all() == slugs
        assert (await session.scalars(select(Note.id).where(Note.slug == "KEY"))).all() == [1]
        session.add(Note(id=99, title="again", slug="key", created_at=now, updated_at=now))
        with pytest.raises(IntegrityError):
            await session.commit()


async def test_an_update_that_changes_nothing_still_finds_its_row(engine: AsyncEngine) -> None:
    """Both drivers must count rows found, not rows changed."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (id INT PRIMARY KEY, value INT)"))
        await connection.execute(text("INSERT INTO t VALUES (1, 1)"))
        result = await connection.execute(text("UPDATE t SET value = 1 WHERE id = 1"))
        assert result.rowcount == 1
