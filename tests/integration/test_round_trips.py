"""What a piece of work sends besides its statements: a read nothing, a transaction its two ends."""

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import Executable, column, insert, literal, select, table, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.infra import aiomysql_connection
from internal.infra.database import create_engine, create_probe_engine, standalone
from internal.services.unit_of_work import UnitOfWork

pytestmark = pytest.mark.anyio

# Of this session, which the server counts by itself. A ping is an admin command.
COUNTED = ("Com_admin_commands", "Com_begin", "Com_commit", "Com_rollback", "Com_select")


@pytest.fixture
async def engine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[AsyncEngine]:
    # Due when a test says so: a slow machine takes longer than a second between two statements.
    monkeypatch.setattr(aiomysql_connection, "PING_AFTER_SECONDS", 3600)
    engine = create_engine(settings.model_copy(update={"db_pool_size": 1, "db_max_overflow": 0}))
    yield engine
    await engine.dispose()


@pytest.fixture
def uow(engine: AsyncEngine) -> UnitOfWork:
    return UnitOfWork(engine, Snowflake(1))


async def counts(uow: UnitOfWork) -> dict[str, int]:
    async with uow.read() as session:
        rows = await session.execute(text("SHOW SESSION STATUS LIKE 'Com\\_%'"))
        return {name: int(count) for name, count in rows if name in COUNTED}


async def sent(uow: UnitOfWork, before: dict[str, int]) -> dict[str, int]:
    after = await counts(uow)
    return {name.removeprefix("Com_"): after[name] - before[name] for name in COUNTED}


async def select_twice(session: AsyncSession) -> None:
    for _ in range(2):
        await session.execute(text("SELECT 1"))


async def test_a_read_sends_its_statements_and_nothing_else(uow: UnitOfWork) -> None:
    before = await counts(uow)
    for _ in range(3):
        async with uow.read() as session:
            await select_twice(session)
    assert await sent(uow, before) == {
        **dict.fromkeys(("admin_commands", "begin", "commit", "rollback"), 0),
        "select": 6,
    }


async def test_a_transaction_sends_its_begin_and_its_end(uow: UnitOfWork) -> None:
    before = await counts(uow)
    for _ in range(3):
        async with uow.begin() as session:
            await select_twice(session)
    with pytest.raises(RuntimeError):
        await select_and_raise(uow)
    assert await sent(uow, before) == {
        "admin_commands": 0,
        "begin": 4,
        "commit": 3,
        "rollback": 1,
        "select": 7,
    }


async def test_a_second_statement_in_one_is_refused(uow: UnitOfWork) -> None:
    async with uow.read() as session:
        with pytest.raises(ProgrammingError, match="1064"):
            await session.execute(text("SELECT 1; SELECT 2"))


async def select_and_raise(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        await session.execute(text("SELECT 1"))
        raise RuntimeError


async def test_a_connection_that_was_not_used_for_a_while_is_asked_first(
    uow: UnitOfWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await counts(uow)
    monkeypatch.setattr(aiomysql_connection, "PING_AFTER_SECONDS", 0)
    for _ in range(3):
        async with uow.read() as session:
            await select_twice(session)
    # One more for the session that counts them.
    assert (await sent(uow, before))["admin_commands"] == 4


async def test_a_transaction_that_is_given_back_open_is_ended(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        assert await is_in_transaction(connection)
    async with standalone(engine).connect() as connection:
        await connection.execute(text("SELECT 1"))
        assert not await is_in_transaction(connection)


async def test_a_probe_leaves_nothing_open_that_a_migration_would_wait_for(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE probed (id INT)"))
    probe = create_probe_engine(settings, timeout=5)
    try:
        async with probe.connect() as connection:
            await connection.execute(text("SELECT id FROM probed"))
        async with engine.begin() as connection:
            await connection.execute(text("SET SESSION lock_wait_timeout = 10"))
            await connection.execute(text("ALTER TABLE probed ADD COLUMN more INT"))
    finally:
        await probe.dispose()


ROWS = table("never_there", column("id"))
FOUND = select(ROWS.c.id).cte("found")


@pytest.mark.parametrize(
    "statement",
    [
        select(ROWS).with_for_update(),
        select(ROWS).with_for_update(read=True),
        text("select id from never_there for update"),
        text("SELECT id FROM never_there LOCK IN SHARE MODE"),
        insert(ROWS).values(id=1),
        update(ROWS).where(ROWS.c.id.in_(select(FOUND.c.id))).values(id=1),
        text("/* why */ -- and why\n UPDATE never_there SET id = 1 WHERE id = 2"),
        text("WITH found AS (SELECT 1) DELETE FROM never_there WHERE id = 1"),
        text("TRUNCATE TABLE never_there"),
        text("BEGIN"),
    ],
    ids=str,
)
async def test_nothing_is_written_or_locked_where_no_transaction_would_keep_it_so(
    uow: UnitOfWork, statement: Executable
) -> None:
    async with uow.read() as session:
        with pytest.raises(RuntimeError, match="use `begin`"):
            await session.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        select(select(literal(1).label("one")).cte("found").c.one),
        text(" (SELECT 1) UNION (SELECT 1)"),
        text("-- why\nSELECT 1 -- WHERE"),
        text("/* a *//* b *//* c */ SELECT 1"),
    ],
    ids=str,
)
async def test_whatever_reads_is_let_through(uow: UnitOfWork, statement: Executable) -> None:
    async with uow.read() as session:
        assert await session.scalar(statement) == 1


async def is_in_transaction(connection: AsyncConnection) -> bool:
    """As the server has told with its last reply."""
    pooled = await connection.get_raw_connection()
    assert pooled.driver_connection is not None
    return bool(pooled.driver_connection.get_transaction_status())
