import functools
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager

import pytest
from sqlalchemy import text

from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.infra.database import create_engine
from internal.migrations.runner import migrate
from internal.services.unit_of_work import UnitOfWork
from tests.integration.jobs.house import House
from tests.servers import DATABASES, DatabaseServer, require

# None: SQLite.
type Place = type[DatabaseServer] | None
type Migrated = Callable[[Place], Settings]

TABLES = ("jobs", "job_events", "outbox_entries", "audit_events", "webhook_endpoints")
PLACES: tuple[Place, ...] = (*DATABASES, None)


def name_of(place: Place) -> str:
    return place.name if place else "sqlite"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Generator[Migrated]:
    """The settings of a migrated database of each sort, which all tests of jobs share."""
    with ExitStack() as stack:

        @functools.cache
        def settings_of(place: Place) -> Settings:
            database = {"DB_TYPE": "sqlite"}
            if place is not None:
                require(place)
                database = stack.enter_context(place()).environment()
            settings = Settings.model_validate(
                {
                    "APP_ENV": "test",
                    "DATA_DIR": tmp_path_factory.mktemp("jobs"),
                    "REDIS_MODE": "embedded",
                    "JOBS_BACKEND": "embedded",
                    "AES_SECRET": generate_key(),
                    "JWT_SECRET": generate_jwt_secret(),
                    **database,
                }
            )
            migrate(settings)
            return settings

        yield settings_of


@pytest.fixture(params=PLACES, ids=name_of)
async def house(
    request: pytest.FixtureRequest, migrated: Migrated, anyio_backend: object
) -> AsyncGenerator[House]:
    """An empty house on each database."""
    async with open_house(migrated(request.param)) as house:
        yield house


@pytest.fixture(params=DATABASES, ids=name_of)
async def shared_house(
    request: pytest.FixtureRequest, migrated: Migrated, anyio_backend: object
) -> AsyncGenerator[House]:
    """One whose database has several transactions open at once, which SQLite has not."""
    async with open_house(migrated(request.param)) as house:
        yield house


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncGenerator[House]:
    engine = create_engine(settings)
    try:
        async with engine.begin() as connection:
            for table in TABLES:
                await connection.execute(text(f"DELETE FROM {table} WHERE 1 = 1"))
        yield House(UnitOfWork(engine, Snowflake(1)), settings)
    finally:
        await engine.dispose()
