from collections.abc import AsyncGenerator

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

from internal.app import ROUTERS
from internal.config.settings import Settings
from internal.infra import redis
from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.security.signing.signed import Client, create_client, echo_router
from tests.unit.http.serving import Served, serving


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    """A migrated database, and no rate limit in the way of a thousand forgeries."""
    settings = make_settings(RATE_LIMIT_DEFAULT="1000000/minute")
    migrate(settings)
    return settings


@pytest.fixture
def redis_server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The Redis of every app that is served in this test."""
    server = FakeServer()
    monkeypatch.setattr(
        redis, "_embedded_client", lambda: FakeAsyncRedis(server=server, decode_responses=True)
    )
    return server


@pytest.fixture
async def served(settings: Settings, redis_server: FakeServer) -> AsyncGenerator[Served]:
    async with serving(settings, *ROUTERS, echo_router()) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> Client:
    return await create_client(served.app, "audit:write")
