"""Two replicas of one service, on real servers."""

import itertools
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from internal.services.passwords import PasswordHasher
from tests.security.accounts import (
    FAST,
    HASHER,
    Populated,
    Replica,
    populate,
    replica,
    settings_of,
)
from tests.servers import DATABASES, DatabaseServer, Redis, require

type Pair = tuple[Replica, Replica]
type ServeOn = Callable[..., AbstractAsyncContextManager[Replica]]

_numbers = itertools.count()


@pytest.fixture(scope="session", params=DATABASES, ids=lambda server: server.name)
def database_server(request: pytest.FixtureRequest) -> Generator[DatabaseServer]:
    require(request.param)
    with request.param() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Generator[Redis]:
    require(Redis)
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def on_servers(
    database_server: DatabaseServer, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Populated:
    """The service's accounts on both. Tests share them and change none but their own."""
    parts = {**database_server.environment(), "REDIS_MODE": "server", **redis_server.environment()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HASHER, partial(PasswordHasher, cost=FAST))
        return populate(tmp_path_factory.mktemp("on-servers"), parts)


@pytest.fixture
def serve_on(fast_bcrypt: None, tmp_path: Path) -> ServeOn:
    def start(populated: Populated, **overrides: object) -> AbstractAsyncContextManager[Replica]:
        return replica(populated, settings_of(populated, tmp_path, **overrides))

    return start


@pytest.fixture
async def pair(on_servers: Populated, serve_on: ServeOn) -> AsyncGenerator[Pair]:
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(serve_on(on_servers)) for _ in range(2)]
        yield here, there


@pytest.fixture
async def username(pair: Pair) -> str:
    """An account of the test's own."""
    name = f"somebody-{next(_numbers)}"
    await pair[0].register(name)
    return name
