"""Brings the database to this release's schema; any number of processes may try at once."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from loguru import logger
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.database import (
    connect_args,
    database_url,
    engine_options,
    explain,
    watch,
)
from internal.migrations import SchemaState, known_revisions, schema_state

LOCK_TIMEOUT_SECONDS = 300

_log = logger.bind(logger="migrate")


def migrate(settings: Settings) -> list[str]:
    """Applies what is missing; returns the revisions applied, oldest first.

    A database that is newer than this release is left as it is: an old release that is started
    during a deploy or a roll-back must not stop it.

    Raises:
        StartError: the database cannot be reached, or another migration holds the lock for long.
    """
    with _locked_connection(settings) as connection:
        missing = _missing(connection)
        if missing:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return missing


def missing_revisions(settings: Settings) -> list[str]:
    """The revisions that `migrate` would apply, oldest first. Changes nothing.

    Raises:
        StartError: the database cannot be reached.
    """
    with _connection(_engine(settings), settings) as connection:
        return _missing(connection)


def _missing(connection: Connection) -> list[str]:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    revisions = known_revisions()
    if schema_state(current) is SchemaState.AHEAD:
        _log.bind(database=current, release=revisions[-1]).warning(
            "the database is newer than this release; nothing to do"
        )
        return []
    if current is not None and current not in revisions:
        raise StartError(f"migrate: the database is at revision {current}, unknown to this release")
    return [revision for revision in revisions if current is None or revision > current]


@contextmanager
def _locked_connection(settings: Settings) -> Generator[Connection]:
    """One migration at a time. Its lock is given back by the system when its process dies.

    SQLite's is a locked file, and comes before the connection: one that finds another in the middle
    of making the file, or of leaving it as the last, is refused at once, whatever its timeout.
    """
    engine = _engine(settings)
    if settings.db_type == "sqlite":
        lock = settings.data_dir / "migrate.lock"
        with _locked_file(lock), _connection(engine, settings) as connection:
            yield connection
    else:
        with _connection(engine, settings) as connection, _named_lock(connection, settings):
            yield connection


def _engine(settings: Settings) -> Engine:
    driver = "pysqlite" if settings.db_type == "sqlite" else "pymysql"
    engine = create_engine(
        database_url(settings, driver=driver),
        connect_args=connect_args(settings),
        poolclass=NullPool,
        logging_name="migrate",
        **engine_options(settings),
    )
    watch(engine, settings)
    return engine


@contextmanager
def _connection(engine: Engine, settings: Settings) -> Generator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise StartError(explain(error, settings)) from error


@contextmanager
def _locked_file(path: Path) -> Generator[None]:
    try:
        file = path.open("w")
    except OSError as error:
        raise StartError(f"DATA_DIR: {path} cannot be written: {error.strerror}") from error
    with file:
        flock(file, LOCK_EX)
        yield


@contextmanager
def _named_lock(connection: Connection, settings: Settings) -> Generator[None]:
    # The lock is the server's, not the database's, and its name at most 64 characters.
    digest = hashlib.sha256((settings.db_database or "").encode()).hexdigest()[:32]
    name = {"name": f"groundwork-migrate-{digest}", "timeout": LOCK_TIMEOUT_SECONDS}
    if connection.scalar(text("SELECT GET_LOCK(:name, :timeout)"), name) != 1:
        raise StartError(f"migrate: another migration has held the lock {LOCK_TIMEOUT_SECONDS} s")
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
        connection.commit()
