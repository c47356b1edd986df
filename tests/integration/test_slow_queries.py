"""Slow statements are logged; what they were about is not."""

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import MakeSettings
from tests.servers import DatabaseServer
from tests.unit.http.serving import Lines, serving

pytestmark = pytest.mark.anyio

CANARY = "hunter2-canary"


async def test_a_slow_statement_is_logged_without_its_values(
    make_settings: MakeSettings, database_server: DatabaseServer, lines: Lines
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_SLOW_QUERY_MS": "200"})
    slow = text("SELECT SLEEP(:seconds),\n    :note AS note")
    async with serving(settings) as served, served.app.state.resources.database.connect() as db:
        await db.execute(slow, {"seconds": 0.3, "note": CANARY})
        await db.execute(slow, {"seconds": 0, "note": CANARY})
    (line,) = [line for line in lines.all if line["message"] == "slow query"]
    assert line["level"] == "WARNING"
    assert line["logger"] == "database"
    assert line["ms"] >= 300
    assert line["sql"].startswith("SELECT SLEEP(%s), %s AS note")
    assert CANARY.encode() not in lines.raw


async def test_nothing_is_slow_where_the_limit_is_0(
    make_settings: MakeSettings, database_server: DatabaseServer, lines: Lines
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_SLOW_QUERY_MS": "0"})
    async with serving(settings) as served, served.app.state.resources.database.connect() as db:
        await db.execute(text("SELECT SLEEP(0.3)"))
    assert "slow query" not in [line["message"] for line in lines.all]


async def test_a_statement_that_fails_does_not_tell_its_values(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    settings = make_settings(**database_server.environment())
    async with serving(settings) as served, served.app.state.resources.database.connect() as db:
        failing = text("SELECT * FROM no_such_table WHERE a = :a").bindparams(bindparam("a"))
        with pytest.raises(DBAPIError) as failure:
            await db.execute(failing, {"a": CANARY})
    assert CANARY not in str(failure.value)
