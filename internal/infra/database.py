"""The database: its URL, engine and pool, and what is watched on every statement."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool, PoolProxiedConnection, QueuePool

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.metrics import Metrics
from internal.infra.statements import STANDALONE, StatementWatch
from internal.infra.tls import client_context

CONNECT_TIMEOUT_SECONDS = 5
# What SQLAlchemy raises when the database is away; `is_away` tells whether it is.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)


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


def create_engine(settings: Settings, metrics: Metrics | None = None) -> AsyncEngine:
    """The engine of the service, with its pool and its watchers.

    What is begun on it is a transaction; what is done with `standalone` is none.
    """
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
    if settings.db_type == "mysql":
        event.listen(engine.sync_engine, "connect", _commit_each_statement)
        event.listen(engine.sync_engine, "begin", _begins_with("BEGIN"))
        event.listen(engine.sync_engine, "handle_error", _end_with_the_transaction)
    if metrics is not None:
        _count_connections(engine.pool, metrics)
    return engine


def standalone(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, for reads that each stand alone.

    On READ COMMITTED a transaction of reads sees no more than its statements do one by one, and
    costs a round trip at its begin and another at its end; on SQLite it would wait for writers.
    """
    return engine.execution_options(**{STANDALONE: True})


def _commit_each_statement(connection: Any, _record: object) -> None:  # noqa: ANN401 - see below
    """Where no transaction was begun."""
    connection.autocommit(True)


def _end_with_the_transaction(context: ExceptionContext) -> None:
    """The loser of a deadlock has no transaction any more: what it sent next would be committed.

    As on a connection that broke, nothing more can be done on this one but to roll back.
    """
    error = context.original_exception
    if isinstance(error, Exception) and error.args[:1] == (_DEADLOCK,):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _begins_with(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(STANDALONE):
            connection.exec_driver_sql(statement)

    return begin


def _count_connections(pool: Pool, metrics: Metrics) -> None:
    """Tells how many there are, and how long one is waited for."""
    assert isinstance(pool, QueuePool)  # noqa: S101 - what SQLAlchemy makes of a pool_size
    connect = pool.connect

    def connect_timed() -> PoolProxiedConnection:
        started = time.perf_counter()
        try:
            return connect()
        finally:
            metrics.observe("db_pool_wait_seconds", time.perf_counter() - started)

    # Of this pool and not a class of ours, whose name would be that of another logger.
    pool.connect = connect_timed  # type: ignore[method-assign]
    metrics.watch("db_pool_size", pool.size)
    metrics.watch("db_pool_checked_out", pool.checkedout)
    metrics.watch("db_pool_overflow", lambda: max(pool.overflow(), 0))


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
    if settings.db_type == "mysql":
        from internal.infra import aiomysql_connection  # noqa: PLC0415 - not where it is SQLite

        arguments["async_creator_fn"] = aiomysql_connection.connect
    return arguments


@asynccontextmanager
async def open_database(
    settings: Settings, metrics: Metrics | None = None
) -> AsyncGenerator[AsyncEngine]:
    """The engine, once a connection has been made; its pool is closed at the end.

    Raises:
        StartError: the database cannot be reached, refuses us, or does not exist.
    """
    engine = create_engine(settings, metrics)
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
        hint = f"; {_MIGRATE}" if str(cause).startswith("no such ") else ""
        return f"database: {database_url(settings, driver='pysqlite').database}: {cause}{hint}"
    where = f"mysql at {settings.db_host}:{settings.db_port}"
    number, *words = cause.args if cause and cause.args else ("unknown",)
    if cause and isinstance(cause.__context__, ssl.SSLError):
        number, words = _TLS_ERROR, [cause.__context__]  # the driver says that it cannot connect
    hint = _HINTS.get(number, _HINTS[_CANNOT_CONNECT])
    return f"database: {where}: {' '.join(map(str, words)) or number} ({number}); {hint}"


_MIGRATE = "run `groundwork migrate`"
# Server and client error numbers (MySQL Error Reference).
_CANNOT_CONNECT, _TLS_ERROR = 2003, 2026
_HINTS = {
    1044: "grant DB_USERNAME the rights on DB_DATABASE",
    1045: "check DB_USERNAME and DB_PASSWORD",
    1049: "create the database or check DB_DATABASE",
    1054: _MIGRATE,
    1146: _MIGRATE,
    1698: "check DB_USERNAME and DB_PASSWORD",
    _CANNOT_CONNECT: "check DB_HOST and DB_PORT and that the server runs",
    _TLS_ERROR: "check DB_TLS and DB_TLS_CA",
}

# FOR UPDATE NOWAIT met a lock: MySQL's ER_LOCK_NOWAIT, MariaDB's ER_LOCK_WAIT_TIMEOUT. Several
# inserts have waited for one that was rolled back: ER_LOCK_DEADLOCK for all but one.
_LOCK_REFUSED = (3572, 1205, 1213)


def is_lock_refused(error: DBAPIError) -> bool:
    """Whether a statement gave up because another transaction has the row."""
    return bool(error.orig and error.orig.args and error.orig.args[0] in _LOCK_REFUSED)


def is_away(error: Exception) -> bool:
    """Whether the database cannot serve now, as opposed to a statement that it never will.

    The drivers raise OperationalError for both: for any error of the server that they do not know.
    """
    cause = getattr(error, "orig", None)
    number = cause.args[0] if cause and cause.args else None
    if not isinstance(number, int):
        return True
    return number < _FIRST_SERVER_ERROR or number in _CLIENT_ERRORS or number in _NOT_NOW


_DEADLOCK = 1213
_FIRST_SERVER_ERROR = 1000
_CLIENT_ERRORS = range(2000, 3000)  # no connection, or one that broke
_NOT_NOW = frozenset(
    {
        *(1021, 1037, 1041),  # no disk space, no memory
        *(1040, 1203, 1226),  # too many connections, of all or of this user
        *(1044, 1045, 1049, 1129, 1130, 1698),  # it does not let us in
        *(1053, 1317, 1927),  # it stops, or somebody has ended this statement or connection
        *(1158, 1159, 1160, 1161),  # the network
        *(1205, _DEADLOCK, 1969, 3024),  # a lock or a deadlock, or it took too long
        *(1290, 1792, 1836),  # it is read-only, as after a fail-over
    }
)


def watch(engine: Engine, settings: Settings) -> None:
    """Hooks on statements: none that is never meant, slow ones logged; sane SQLite sessions."""
    StatementWatch(settings.db_slow_query_ms).listen(engine)
    if settings.db_type == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        # A write lock that is asked for later fails where another has written in between.
        event.listen(engine, "begin", _begins_with("BEGIN IMMEDIATE"))


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
