"""What a client is told of an error of the database: is it away, or have we done wrong?"""

import asyncio

import pytest
from fastapi import APIRouter
from sqlalchemy import text

from internal.config.settings import Settings
from internal.controllers.dependencies import ResourcesDep
from internal.core.envelope import Envelope
from tests.servers import DatabaseServer
from tests.unit.http.serving import Lines, Served, public_router, serving

pytestmark = pytest.mark.anyio


def statements() -> APIRouter:
    """A route that runs what it is asked to, in one transaction."""
    router = public_router()

    @router.get("/run")
    async def run(resources: ResourcesDep, sql: str) -> Envelope[None]:
        async with resources.unit_of_work.begin() as session:
            for statement in sql.split(";"):
                await session.execute(text(statement))
        return Envelope(data=None)

    return router


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Slow enough for every test here: the log's lines are what they are about."""
    return settings.model_copy(update={"db_slow_query_ms": 0})


async def run(served: Served, sql: str) -> tuple[int, int]:
    reply = await served.http.get("/run", params={"sql": sql})
    return reply.status_code, reply.json()["code"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT no_such_column",
        "SELECT * FROM no_such_table",
        "SELEC 1",
        "CREATE TABLE c (i INT CHECK (i > 1)); INSERT INTO c VALUES (0)",
        "SELECT (SELECT 1 UNION SELECT 2)",
    ],
)
async def test_a_statement_that_can_never_work_is_500_with_its_traceback_in_the_log(
    settings: Settings, lines: Lines, sql: str
) -> None:
    async with serving(settings, statements()) as served:
        assert await run(served, sql) == (500, 50000)
    (line,) = lines.at("ERROR")
    assert line["message"] == "unhandled exception"
    assert "Traceback" in line["exception"]


async def test_waiting_for_a_lock_in_vain_is_503(settings: Settings, lines: Lines) -> None:
    async with serving(settings, statements()) as served:
        await run(served, "CREATE TABLE t (i INT PRIMARY KEY); INSERT INTO t VALUES (1)")
        async with served.app.state.resources.unit_of_work.begin() as session:
            await session.execute(text("UPDATE t SET i = 2 WHERE i = 1"))
            waiting = "SET SESSION innodb_lock_wait_timeout = 1; UPDATE t SET i = 3 WHERE i = 1"
            assert await run(served, waiting) == (503, 50003)
    (line,) = lines.at("ERROR")
    assert line["message"] == "a dependency is unavailable"
    assert "1205" in line["reason"]


async def test_a_connection_that_is_ended_under_its_statement_is_503(
    settings: Settings, database_server: DatabaseServer
) -> None:
    async with serving(settings, statements()) as served:
        async with asyncio.TaskGroup() as tasks:
            sleeping = tasks.create_task(run(served, "SELECT SLEEP(600)"))
            database_server.execute(f"KILL {await connection_of(served, 'SELECT SLEEP%')}")
        assert sleeping.result() == (503, 50003)


async def connection_of(served: Served, statement: str) -> int:
    """The number of the connection that executes it, as soon as one does."""
    query = text("SELECT id FROM information_schema.processlist WHERE info LIKE :it")
    async with served.app.state.resources.database.connect() as connection:
        while (found := await connection.scalar(query, {"it": statement})) is None:
            await asyncio.sleep(0.02)
    return int(found)
