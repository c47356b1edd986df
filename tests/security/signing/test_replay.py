"""A signed request that somebody sends again."""

import asyncio
from dataclasses import replace

import pytest
from fakeredis import FakeServer

from internal.app import ROUTERS
from internal.config.settings import Settings
from internal.controllers.dependencies import resources_of
from tests.security.signing.signed import Client, count_events, create_client
from tests.unit.http.serving import Served, serving

pytestmark = pytest.mark.anyio


async def test_a_request_is_accepted_once(served: Served, client: Client) -> None:
    request = client.event()
    assert (await request.sent_to(served.app)).status == 201
    for _ in range(3):
        exchange = await request.sent_to(served.app)
        assert (exchange.status, exchange.envelope["code"]) == (401, 40002)
    assert await count_events(served.app) == 1


async def test_of_many_at_the_same_moment_one_is_accepted(served: Served, client: Client) -> None:
    request = client.event()
    exchanges = await asyncio.gather(*(request.sent_to(served.app) for _ in range(20)))
    assert sorted(exchange.status for exchange in exchanges) == [201] + [401] * 19
    assert await count_events(served.app) == 1


async def test_a_nonce_is_spent_for_every_request_of_its_client(
    served: Served, client: Client
) -> None:
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    assert (await client.event(nonce=request.nonce).sent_to(served.app)).status == 401
    assert (await client.event().sent_to(served.app)).status == 201


async def test_two_clients_may_choose_the_same_nonce(served: Served, client: Client) -> None:
    other = await create_client(served.app)
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    assert (await other.request(nonce=request.nonce).sent_to(served.app)).status == 200


async def test_an_invalid_signature_spends_no_nonce(
    served: Served, client: Client, redis_server: FakeServer
) -> None:
    request = client.request()
    for _ in range(3):
        forged = replace(request, signature=b"0" * 64)
        assert (await forged.sent_to(served.app)).status == 401
    assert await resources_of(served.app).redis.keys("*") == []
    assert (await request.sent_to(served.app)).status == 200


async def test_a_nonce_is_kept_for_longer_than_a_timestamp_can_be_valid(
    served: Served, client: Client
) -> None:
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    redis = resources_of(served.app).redis
    (key,) = await redis.keys("*")
    assert key == f"nonce:{client.client_id}:{request.nonce.decode()}"
    assert 600 < await redis.ttl(key) <= 900


async def test_a_replica_refuses_what_another_has_accepted(
    settings: Settings, served: Served, client: Client
) -> None:
    twin = settings.model_copy(update={"snowflake_node_id": 2})
    async with serving(twin, *ROUTERS) as other:
        assert resources_of(other.app).redis is not resources_of(served.app).redis
        request = client.event()
        assert (await request.sent_to(other.app)).status == 201
        assert (await request.sent_to(served.app)).status == 401
        racing = client.event()
        statuses = await asyncio.gather(
            *(racing.sent_to(app) for app in (served.app, other.app) * 10)
        )
        assert sorted(exchange.status for exchange in statuses) == [201] + [401] * 19
        assert await count_events(served.app) == 2


async def test_a_request_without_its_scope_is_spent_too(served: Served) -> None:
    outsider = await create_client(served.app, "other:scope")
    request = outsider.event()
    assert (await request.sent_to(served.app)).status == 403
    assert (await request.sent_to(served.app)).status == 401
