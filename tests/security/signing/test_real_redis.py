"""Nonces on a real Redis: shared by replicas, refused where it cannot keep them."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest

from internal.app import ROUTERS
from internal.config.settings import Settings
from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.security.signing.signed import Client, count_events, create_client
from tests.servers import Redis, require
from tests.unit.http.serving import Served, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis() -> Generator[Redis]:
    require(Redis)
    with Redis() as server:
        yield server


@pytest.fixture
def settings(make_settings: MakeSettings, redis: Redis) -> Settings:
    settings = make_settings(**redis.environment())
    migrate(settings)
    return settings


@pytest.fixture
async def served(settings: Settings) -> AsyncGenerator[Served]:
    async with serving(settings, *ROUTERS) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> Client:
    return await create_client(served.app, "audit:write")


async def test_a_nonce_is_good_once_on_all_replicas(
    settings: Settings, served: Served, client: Client
) -> None:
    async with serving(settings.model_copy(update={"snowflake_node_id": 2}), *ROUTERS) as other:
        request = client.event()
        exchanges = await asyncio.gather(
            *(request.sent_to(app) for app in (served.app, other.app) * 10)
        )
        assert sorted(exchange.status for exchange in exchanges) == [201] + [401] * 19
        assert await count_events(served.app) == 1


async def test_a_nonce_is_kept_for_900_seconds(
    served: Served, client: Client, redis: Redis
) -> None:
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    with redis.client() as plain:
        assert 890 <= plain.ttl(f"nonce:{client.client_id}:{request.nonce.decode()}") <= 900


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["full", "without its replicas"],
)
async def test_a_redis_that_refuses_to_write_gets_503(
    served: Served, client: Client, redis: Redis, setting: str, bad: str, good: str
) -> None:
    request = client.event()
    with redis.client() as plain:
        plain.config_set(setting, bad)
        try:
            exchange = await request.sent_to(served.app)
        finally:
            plain.config_set(setting, good)
    assert (exchange.status, exchange.envelope["code"]) == (503, 50003)
    assert await count_events(served.app) == 0
    assert (await request.sent_to(served.app)).status == 201


async def test_a_redis_that_has_become_a_replica_gets_503(
    served: Served, client: Client, redis: Redis
) -> None:
    """A failover: the old primary still answers, and takes no writes."""
    with redis.client() as plain:
        plain.replicaof("127.0.0.1", 1)
        try:
            exchange = await client.event().sent_to(served.app)
        finally:
            plain.replicaof("NO", "ONE")
    assert (exchange.status, exchange.envelope["code"]) == (503, 50003)
