"""The engine and what is watched on it, as far as SQLite can show it."""

import sqlite3
import ssl
from pathlib import Path

import pytest
from pymysql.err import OperationalError as PyMySQLError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from internal.core.errors import StartError
from internal.infra.database import (
    connect_args,
    create_engine,
    create_probe_engine,
    database_url,
    engine_options,
    explain,
    open_database,
)
from internal.infra.metrics import Metrics
from tests.conftest import MakeSettings
from tests.unit.config.folder import PROD
from tests.unit.infra.log import Log, logging_of

pytestmark = pytest.mark.anyio

MYSQL = {key: PROD[key] for key in PROD if key.startswith("DB_")} | {"DB_TYPE": "mysql"}
NOBODY = MYSQL | {"DB_HOST": "127.0.0.1", "DB_PORT": 1}  # a port where nobody listens


async def test_a_start_needs_a_connection_that_was_made(make_settings: MakeSettings) -> None:
    async with open_database(make_settings()) as engine, engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_database_that_is_away_is_one_line_with_the_place_and_the_mend(
    make_settings: MakeSettings,
) -> None:
    with pytest.raises(StartError) as caught:
        async with open_database(make_settings(**NOBODY)):
            pass
    said = str(caught.value)
    assert said.startswith("database: mysql at 127.0.0.1:1: ")
    assert said.endswith("(2003); check DB_HOST and DB_PORT and that the server runs")
    assert PROD["DB_PASSWORD"] not in said


async def test_a_file_that_is_no_database_is_one_line_that_names_it(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(DB_DATABASE="books")
    settings.data_dir.mkdir()
    file = settings.data_dir / "books.sqlite3"
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StartError, match=f"^database: {file}: file is not a database$"):
        async with open_database(settings):
            pass


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (1044, "Access denied to database", "grant DB_USERNAME the rights on DB_DATABASE"),
        (1045, "Access denied for user", "check DB_USERNAME and DB_PASSWORD"),
        (1049, "Unknown database", "create the database or check DB_DATABASE"),
        (1698, "Access denied for user", "check DB_USERNAME and DB_PASSWORD"),
        (2003, "Can't connect", "check DB_HOST and DB_PORT and that the server runs"),
        (2026, "TLS", "check DB_TLS and DB_TLS_CA"),
        (1040, "Too many connections", "check DB_HOST and DB_PORT and that the server runs"),
    ],
)
def test_each_refusal_of_a_server_has_its_mend(
    make_settings: MakeSettings, number: int, words: str, hint: str
) -> None:
    error = OperationalError("SELECT 1", {}, PyMySQLError(number, words))
    assert explain(error, make_settings(**MYSQL)) == (
        f"database: mysql at db.internal:3306: {words} ({number}); {hint}"
    )


def test_an_error_without_a_number_is_explained_too(make_settings: MakeSettings) -> None:
    error = DBAPIError("SELECT 1", {}, PyMySQLError())
    assert explain(error, make_settings(**MYSQL)).startswith(
        "database: mysql at db.internal:3306: unknown (unknown); "
    )


def test_mysql_is_spoken_to_as_the_conventions_say(make_settings: MakeSettings) -> None:
    settings = make_settings(**MYSQL)
    assert connect_args(settings, timeout=7) == {
        "connect_timeout": 7,
        "init_command": "SET SESSION time_zone = '+00:00'",
    }
    assert engine_options(settings)["isolation_level"] == "READ COMMITTED"
    assert database_url(settings, driver="aiomysql").query == {"charset": "utf8mb4"}


def test_tls_verifies_the_servers_certificate_and_name(make_settings: MakeSettings) -> None:
    context = connect_args(make_settings(**MYSQL, DB_TLS="on"))["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert "ssl" not in connect_args(make_settings(**MYSQL, DB_TLS="off"))


def test_a_bad_ca_file_is_an_error_of_its_setting(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "none.pem"):
        settings = make_settings(**MYSQL, DB_TLS="on", DB_TLS_CA=tmp_path / name)
        with pytest.raises(StartError, match=f"^DB_TLS_CA: {tmp_path / name} cannot be used"):
            connect_args(settings)


async def test_the_pool_is_the_configured_one_and_asks_before_it_hands_out(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(
        DB_POOL_SIZE=3, DB_MAX_OVERFLOW=4, DB_POOL_TIMEOUT=5, DB_POOL_RECYCLE=6
    )
    engine = create_engine(settings)
    pool = engine.sync_engine.pool
    assert (pool.size(), pool._max_overflow, pool._timeout) == (3, 4, 5)  # type: ignore[attr-defined]
    assert (pool._recycle, pool._pre_ping) == (6, True)
    await engine.dispose()


async def test_the_pool_tells_what_is_in_use_what_is_beyond_its_size_and_how_long_one_waited(
    make_settings: MakeSettings,
) -> None:
    metrics = Metrics()

    def told() -> tuple[float, ...]:
        families = metrics.snapshot().families
        gauges = ("db_pool_size", "db_pool_checked_out", "db_pool_overflow")
        return tuple(families[name][()].figures[0] for name in gauges)

    def waits() -> tuple[float, float]:
        *buckets, seconds = metrics.snapshot().families["db_pool_wait_seconds"][()].figures
        return sum(buckets), seconds

    settings = make_settings(DB_POOL_SIZE=1, DB_MAX_OVERFLOW=1, DB_POOL_TIMEOUT=1)
    async with open_database(settings, metrics) as engine:
        assert told() == (1, 0, 0)
        before, _ = waits()
        async with engine.connect(), engine.connect():
            assert told() == (1, 2, 1)
            with pytest.raises(PoolTimeoutError):
                await engine.connect()
        count, seconds = waits()
        assert count == before + 3
        assert seconds >= 1  # that of who waited in vain counts, too
        assert told()[1] == 0


async def test_the_probe_has_one_connection_of_its_own(make_settings: MakeSettings) -> None:
    engine = create_probe_engine(make_settings(), timeout=1)
    pool = engine.sync_engine.pool
    assert (pool.size(), pool._max_overflow, pool._timeout) == (1, 0, 1)  # type: ignore[attr-defined]
    await engine.dispose()


async def test_sqlite_waits_for_its_turn_and_minds_foreign_keys(
    make_settings: MakeSettings,
) -> None:
    async with open_database(make_settings()) as engine, engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA busy_timeout")) == 5000


async def test_errors_show_no_values(make_settings: MakeSettings) -> None:
    async with open_database(make_settings()) as engine, engine.connect() as connection:
        with pytest.raises(OperationalError) as caught:
            await connection.execute(text("SELECT :secret FROM nowhere"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most)\n"
    "  SELECT sum(i) FROM n"
)


async def test_a_slow_statement_is_logged_without_its_values(
    make_settings: MakeSettings, log: Log
) -> None:
    settings = make_settings(DB_SLOW_QUERY_MS=1)
    async with open_database(settings) as engine, engine.connect() as connection:
        await connection.execute(text(SLOW), {"most": 271_828})
    sql = " ".join(SLOW.replace(":most", "?").split())
    (event,) = [event for event in log.events if event.get("sql") == sql]
    assert (event["level"], event["logger"]) == ("WARNING", "database")
    assert event["message"] == "slow query"
    assert event["ms"] > 1
    assert b"271828" not in log.raw


async def test_a_quick_statement_is_not_and_zero_switches_it_off(
    make_settings: MakeSettings,
) -> None:
    for limit, statement in ((10_000, "SELECT 1"), (0, SLOW)):
        settings = make_settings(DB_SLOW_QUERY_MS=limit)
        with logging_of(settings) as log:
            async with open_database(settings) as engine, engine.connect() as connection:
                await connection.execute(text(statement), {"most": 100_000} if limit == 0 else {})
        assert log.events == []


async def test_closing_gives_the_connections_back(make_settings: MakeSettings) -> None:
    settings = make_settings()
    async with open_database(settings) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        assert engine.sync_engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    assert engine.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]
    sqlite3.connect(settings.data_dir / "groundwork.sqlite3").close()
