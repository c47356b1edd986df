import itertools
from collections.abc import AsyncGenerator, Generator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.infra.database import create_engine
from tests.conftest import MakeSettings
from tests.servers import DATABASES, DatabaseServer, Redis, require
from tests.unit.http.serving import Lines

_numbers = itertools.count()


@pytest.fixture(scope="session", params=DATABASES, ids=lambda server: server.name)
def kind(request: pytest.FixtureRequest) -> type[DatabaseServer]:
    """Which database: a test that asks for one, or for anything on one, runs on each."""
    server: type[DatabaseServer] = request.param
    require(server)
    return server


@pytest.fixture(scope="session")
def database_server(kind: type[DatabaseServer]) -> Generator[DatabaseServer]:
    """One for all tests that leave it alone."""
    with kind() as server:
        yield server


@pytest.fixture(scope="session")
def mortal_database(kind: type[DatabaseServer]) -> Generator[DatabaseServer]:
    """One that tests may kill and freeze, if they start and thaw it again."""
    with kind() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Generator[Redis]:
    require(Redis)
    with Redis() as server:
        yield server


@pytest.fixture
def mortal_redis() -> Generator[Redis]:
    """One that the test may kill."""
    require(Redis)
    with Redis() as server:
        yield server


@pytest.fixture
def database(database_server: DatabaseServer) -> str:
    """The name of an empty database of the test's own."""
    name = f"{database_server.database}_{next(_numbers)}"
    database_server.execute(f"CREATE DATABASE `{name}`")
    return name


@pytest.fixture
def settings(
    make_settings: MakeSettings, database_server: DatabaseServer, database: str
) -> Settings:
    """The service on the real database, and an embedded Redis."""
    return make_settings(**{**database_server.environment(), "DB_DATABASE": database})


@pytest.fixture
async def engine(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    engine = create_engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """The log, if asked for before the app is created."""
    return Lines(lambda: capsysbinary.readouterr().out)
