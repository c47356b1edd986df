from collections.abc import AsyncGenerator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.infra.database import create_engine
from internal.migrations.runner import migrate
from internal.services.leases import Leases
from internal.services.unit_of_work import UnitOfWork
from tests.conftest import MakeSettings
from tests.servers import DATABASES, DatabaseServer, require

PLACES = (*DATABASES, None)


@pytest.fixture(scope="session", params=PLACES, ids=lambda place: place.name if place else "sqlite")
def kind(request: pytest.FixtureRequest) -> type[DatabaseServer] | None:
    """Which database; None: SQLite."""
    place: type[DatabaseServer] | None = request.param
    if place is not None:
        require(place)
    return place


@pytest.fixture
def settings(
    make_settings: MakeSettings,
    kind: type[DatabaseServer] | None,
    request: pytest.FixtureRequest,
) -> Settings:
    if kind is None:
        return make_settings()
    server: DatabaseServer = request.getfixturevalue("database_server")
    name: str = request.getfixturevalue("database")
    return make_settings(**{**server.environment(), "DB_DATABASE": name})


@pytest.fixture
async def engine(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    """Of a database that is migrated."""
    migrate(settings)
    engine = create_engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def unit_of_work(engine: AsyncEngine) -> UnitOfWork:
    return UnitOfWork(engine, Snowflake(0))


@pytest.fixture
def leases(unit_of_work: UnitOfWork) -> Leases:
    return Leases(unit_of_work)
