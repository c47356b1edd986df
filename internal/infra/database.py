"""The database: its URL, engine and pool, and what is watched on every statement."""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loguru import logger
from sqlalchemy import (
    URL,
    Connection,
    Delete,
    Engine,
    Executable,
    Update,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.tls import client_context

CONNECT_TIMEOUT_SECONDS = 5
# What SQLAlchemy raises when the database is away, as opposed to when it disagrees.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

_log = logger.bind(logger="database")


class UnboundedWrite(Exception):
    """An UPDATE or DELETE without a WHERE: never meant, never sent."""


def database_url(settings: Settings, *, driver: str) -> URL:
    """The URL of the configured database, built and never pasted: any password works.

    Args:
        driver: `aiomysql` or `pymysql`; `aiosqlite` or `pysqlite`.
    """
    if settings.db_type == "sqlite":
        name = f"{settings.db_database or 'groundwork'}.sqlite3"
        return URL.create(f"sqlite+{driver}", database=str(settings.data_dir / name))
    password = settings.db_password.get_secret_value() if settings.db_password else ""
    return URL.create(
        f"mysql+{driver}",
        username=settings.db_username,
        # Both drivers send a password's Latin-1 bytes; the server has the hash of its UTF-8 ones.
        password=password.encode().decode("latin-1"),
        host=settings.db_host,
        port=settings.db_port,
        database=settings.db_database,
        query={"charset": "utf8mb4"},
    )


def connect_args(settings: Settings, *, timeout: float = CONNECT_TIMEOUT_SECONDS) -> dict[str, Any]:
    """What every connection starts with, on any driver."""
    if settings.db_type == "sqlite":
        _make_folder(settings.data_dir)
        return {"timeout": timeout}
    arguments: dict[str, Any] = {
        "connect_timeout": timeout,
        "init_command": "SET SESSION time_zone = '+00:00'",
    }
    if settings.db_tls == "on":
        arguments["ssl"] = client_context(settings.db_tls_ca, "DB_TLS_CA")
    return arguments


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"DATA_DIR: {folder} cannot be made: {error.strerror}; make its parent writable"
        ) from error


def engine_options(settings: Settings) -> dict[str, Any]:
    """What engines of the configured database share, async or not."""
    options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True}
    if settings.db_type == "mysql":
        options["isolation_level"] = "READ COMMITTED"
    return options


def create_engine(settings: Settings) -> AsyncEngine:
    """The engine of the service, with its pool and its watchers."""
    engine = create_async_engine(
        _async_url(settings),
        connect_args=_async_connect_args(settings, CONNECT_TIMEOUT_SECONDS),
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_timeout=settings.db_pool_timeout,
        pool_recycle=settings.db_pool_recycle,
        **engine_options(settings),
    )
    watch(engine.sync_engine, settings)
    return engine


def create_probe_engine(settings: Settings, timeout: float) -> AsyncEngine:
    """One connection of its own for health probes: a busy pool is not a database that is down."""
    return create_async_engine(
        _async_url(settings),
        connect_args=_async_connect_args(settings, timeout),
        pool_size=1,
        max_overflow=0,
        logging_name="probe",
        pool_timeout=timeout,
        **engine_options(settings),
    )


def _async_url(settings: Settings) -> URL:
    return database_url(
        settings, driver="aiosqlite" if settings.db_type == "sqlite" else "aiomysql"
    )


def _async_connect_args(settings: Settings, timeout: float) -> dict[str, Any]:
    arguments = connect_args(settings, timeout=timeout)
    if "ssl" in arguments:
        from internal.infra import aiomysql_tls  # noqa: PLC0415 - slow, and rarely needed

        arguments["async_creator_fn"] = aiomysql_tls.connect
    return arguments


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    """The engine, once a connection has been made; its pool is closed at the end.

    Raises:
        StartError: the database cannot be reached, refuses us, or does not exist.
    """
    engine = create_engine(settings)
    try:
        await _connect_once(engine, settings)
        yield engine
    finally:
        await engine.dispose()


async def _connect_once(engine: AsyncEngine, settings: Settings) -> None:
    try:
        # The drivers' own timeout ends with the connection; a frozen server takes that, no more.
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except DBAPIError as error:
        raise StartError(explain(error, settings)) from error
    except TimeoutError as error:
        raise StartError(
            f"database: mysql at {settings.db_host}:{settings.db_port}: "
            f"no answer within {CONNECT_TIMEOUT_SECONDS} s; {_HINTS[_CANNOT_CONNECT]}"
        ) from error


def explain(error: DBAPIError, settings: Settings) -> str:
    """One line that says which database failed, how, and where to look. Holds no password."""
    cause = error.orig
    if settings.db_type == "sqlite":
        return f"database: {database_url(settings, driver='pysqlite').database}: {cause}"
    where = f"mysql at {settings.db_host}:{settings.db_port}"
    number, *words = cause.args if cause and cause.args else ("unknown",)
    if cause and isinstance(cause.__context__, ssl.SSLError):
        number, words = _TLS_ERROR, [cause.__context__]  # the driver says that it cannot connect
    hint = _HINTS.get(number, _HINTS[_CANNOT_CONNECT])
    return f"database: {where}: {' '.join(map(str, words)) or number} ({number}); {hint}"


# Server and client error numbers (MySQL Error Reference).
_CANNOT_CONNECT, _TLS_ERROR = 2003, 2026
_HINTS = {
    1044: "grant DB_USERNAME the rights on DB_DATABASE",
    1045: "check DB_USERNAME and DB_PASSWORD",
    1049: "create the database or check DB_DATABASE",
    1698: "check DB_USERNAME and DB_PASSWORD",
    _CANNOT_CONNECT: "check DB_HOST and DB_PORT and that the server runs",
    _TLS_ERROR: "check DB_TLS and DB_TLS_CA",
}


def watch(engine: Engine, settings: Settings) -> None:
    """Hooks on every statement: no unbounded write, slow ones logged, sane SQLite connections."""
    event.listen(engine, "before_execute", refuse_unbounded_write)
    event.listen(engine, "before_cursor_execute", refuse_unbounded_sql)
    if settings.db_slow_query_ms:
        SlowQueries(settings.db_slow_query_ms).listen(engine)
    if settings.db_type == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)


_UNBOUNDED_SQL = re.compile(
    r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"  # comments
    r"(?:with\b.*?\)\s*)?"
    r"(?:update|delete)\b(?!.*\bwhere\b)",
    re.IGNORECASE | re.DOTALL,
)


def refuse_unbounded_write(_connection: Connection, statement: Executable, *_: object) -> None:
    """Raises UnboundedWrite for an UPDATE or DELETE that names no rows."""
    if isinstance(statement, Update | Delete) and statement.whereclause is None:
        raise UnboundedWrite(str(statement))


def refuse_unbounded_sql(
    _connection: Connection, _cursor: object, statement: str, *_: object
) -> None:
    """The same for SQL that somebody wrote by hand, on its way to the driver."""
    if _UNBOUNDED_SQL.match(statement):
        raise UnboundedWrite(statement)


class SlowQueries:
    """Logs statements that took longer than a limit, without their values."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms

    def listen(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def _before(self, connection: Connection, *_: object) -> None:
        connection.info["statement_started"] = time.perf_counter()

    def _after(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        milliseconds = (time.perf_counter() - connection.info["statement_started"]) * 1000
        if milliseconds > self._limit_ms:
            sql = " ".join(statement.split())
            _log.bind(ms=round(milliseconds, 1), sql=sql).warning("slow query")


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
