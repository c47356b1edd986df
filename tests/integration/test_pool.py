"""A busy pool is no database that is down, and a pool heals after its server was restarted."""

import asyncio
from collections.abc import Callable, Generator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from internal.controllers.dependencies import ResourcesDep
from internal.core.envelope import Envelope
from internal.core.snowflake import Snowflake
from internal.infra import aiomysql_connection
from internal.infra.database import connect_args, database_url, engine_options, open_database
from internal.infra.redis import open_redis
from internal.migrations.runner import migrate
from internal.services.unit_of_work import UnitOfWork
from tests.conftest import MakeSettings
from tests.servers import DatabaseServer, Redis
from tests.unit.http.serving import public_router, serving

pytestmark = pytest.mark.anyio

# What a connection that was made again must have again, and not only answer.
SESSION = text("SELECT CONCAT(@@session.time_zone, ' ', CONNECTION_ID())")
CONNECTIONS = 3


async def test_an_exhausted_pool_is_503_and_the_service_stays_ready(
    make_settings: MakeSettings, database_server: DatabaseServer, database: str
) -> None:
    pool = {"DB_POOL_SIZE": "1", "DB_MAX_OVERFLOW": "0", "DB_POOL_TIMEOUT": "0.2"}
    settings = make_settings(**{**database_server.environment(), "DB_DATABASE": database, **pool})
    migrate(settings)
    router = public_router()

    @router.get("/query")
    async def query(resources: ResourcesDep) -> Envelope[int]:
        async with resources.unit_of_work.begin() as session:
            return Envelope(data=await session.scalar(text("SELECT 1")) or 0)

    async with serving(settings, router) as served:
        async with served.app.state.resources.database.connect():
            refused = await served.http.get("/query")
            assert refused.status_code == 503
            assert refused.json()["code"] == 50003
            assert (await served.http.get("/readyz")).status_code == 200
        assert (await served.http.get("/query")).status_code == 200


@pytest.fixture(params=["kill", "stop"])
def restart(
    request: pytest.FixtureRequest, mortal_database: DatabaseServer
) -> Generator[Callable[[], None]]:
    """Ends the database in one of its ways and starts it again."""

    def end_and_start() -> None:
        getattr(mortal_database, request.param)()
        mortal_database.start()

    yield end_and_start
    mortal_database.start()


async def check_out_all(engine: AsyncEngine) -> set[str]:
    """What as many sessions at once as the pool has connections say of themselves."""
    connections = [await engine.connect() for _ in range(CONNECTIONS)]
    sessions = {(await connection.scalar(SESSION)) or "" for connection in connections}
    isolations = [await connection.get_isolation_level() for connection in connections]
    assert isolations == ["READ COMMITTED"] * CONNECTIONS
    await asyncio.gather(*(connection.close() for connection in connections))
    return sessions


async def test_every_pooled_connection_of_the_service_is_good_after_a_restart(
    make_settings: MakeSettings, mortal_database: DatabaseServer, restart: Callable[[], None]
) -> None:
    settings = make_settings(**mortal_database.environment(), DB_POOL_SIZE=CONNECTIONS)
    async with open_database(settings) as engine:
        before = await check_out_all(engine)
        assert await check_out_all(engine) == before  # they are pooled
        restart()
        for _ in range(2):
            after = await check_out_all(engine)
            assert len(after) == CONNECTIONS
            assert all(session.startswith("+00:00 ") for session in after)


async def test_every_pooled_blocking_connection_is_good_after_a_restart(
    make_settings: MakeSettings, mortal_database: DatabaseServer, restart: Callable[[], None]
) -> None:
    settings = make_settings(**mortal_database.environment())
    engine = create_engine(
        database_url(settings, driver="pymysql"),
        connect_args=connect_args(settings),
        pool_size=CONNECTIONS,
        **engine_options(settings),
    )
    before = check_out_all_blocking(engine)
    assert check_out_all_blocking(engine) == before
    restart()
    for _ in range(2):
        after = check_out_all_blocking(engine)
        assert all(session.startswith("+00:00 ") for session in after)
    engine.dispose()


def check_out_all_blocking(engine: Engine) -> set[str]:
    connections = [engine.connect() for _ in range(CONNECTIONS)]
    sessions = {connection.scalar(SESSION) or "" for connection in connections}
    for connection in connections:
        assert connection.get_isolation_level() == "READ COMMITTED"
        connection.close()
    return sessions


async def test_every_pooled_connection_of_redis_is_good_after_a_restart(
    make_settings: MakeSettings, mortal_redis: Redis
) -> None:
    async with open_redis(make_settings(**mortal_redis.environment())) as client:
        for _ in range(2):
            answers = await asyncio.gather(*(client.ping() for _ in range(CONNECTIONS)))
            assert answers == [True] * CONNECTIONS
            mortal_redis.kill()
            mortal_redis.start()
        assert await client.ping()


async def test_work_that_is_given_up_does_not_wait_for_a_database_that_is_frozen(
    make_settings: MakeSettings, mortal_database: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the transaction open, and no statement that would be cancelled with it."""
    monkeypatch.setattr(aiomysql_connection, "ROLLBACK_SECONDS", 0.1)
    async with open_database(make_settings(**mortal_database.environment())) as engine:
        is_in_transaction = asyncio.Event()

        async def work() -> None:
            async with UnitOfWork(engine, Snowflake(1)).begin() as session:
                await session.execute(text("SELECT 1"))
                is_in_transaction.set()
                await asyncio.Event().wait()

        working = asyncio.create_task(work())
        await is_in_transaction.wait()
        mortal_database.freeze()
        try:
            working.cancel()
            done, _ = await asyncio.wait({working}, timeout=60)
            assert done
        finally:
            mortal_database.thaw()
        with pytest.raises((OperationalError, asyncio.CancelledError)):
            await working
        assert isinstance(engine.pool, QueuePool)
        assert engine.pool.checkedout() == 0
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
