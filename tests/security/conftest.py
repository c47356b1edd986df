from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from async_lru import alru_cache
from fakeredis import FakeAsyncRedis, FakeServer
from fastapi import APIRouter

from internal.services import recent
from internal.services.passwords import PasswordHasher
from tests.security.accounts import (
    EMBEDDED,
    FAST,
    HASHER,
    Populated,
    Replica,
    own_copy,
    populate,
    replica,
    settings_of,
)
from tests.security.callers import Callers, gather_callers
from tests.security.clock import Clock
from tests.unit.http.serving import Lines

type Serve = Callable[..., AbstractAsyncContextManager[Replica]]


@pytest.fixture(scope="session")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Populated:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HASHER, partial(PasswordHasher, cost=FAST))
        return populate(tmp_path_factory.mktemp("populated"), EMBEDDED)


@pytest.fixture
def fast_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HASHER, partial(PasswordHasher, cost=FAST))


@pytest.fixture
def serve(populated: Populated, tmp_path: Path, fast_bcrypt: None) -> Serve:
    """Replicas of one service, on a database of the test's own; keyword arguments are settings."""
    data_dir = own_copy(populated, tmp_path / "var")

    def start(*routers: APIRouter, **overrides: object) -> AbstractAsyncContextManager[Replica]:
        return replica(populated, settings_of(populated, data_dir, **overrides), *routers)

    return start


@pytest.fixture
async def service(serve: Serve) -> AsyncGenerator[Replica]:
    """One replica."""
    async with serve() as one:
        yield one


@pytest.fixture
async def callers(service: Replica) -> Callers:
    return await gather_callers(service)


@pytest.fixture
def shared_redis(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """One Redis for all replicas, which can go away: `connected = False`."""
    server = FakeServer()
    client = partial(FakeAsyncRedis, server=server, decode_responses=True)
    monkeypatch.setattr("internal.infra.redis._embedded_client", client)
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands still until the test moves it; the library's own timer, on real time, is off."""
    clock = Clock()
    monkeypatch.setattr(recent, "time", clock)
    monkeypatch.setattr(recent, "alru_cache", lambda maxsize, ttl: alru_cache(maxsize=maxsize))
    return clock


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """The log, if asked for before the app is created."""
    return Lines(lambda: capsysbinary.readouterr().out)
