"""Without Redis nobody can tell whether a nonce was used: nothing signed is let in."""

from dataclasses import replace

import pytest
from fakeredis import FakeServer

from internal.controllers.dependencies import resources_of
from tests.security.signing.signed import Client, count_events
from tests.unit.http.serving import Served

pytestmark = pytest.mark.anyio


async def test_a_signed_request_gets_503_and_does_nothing(
    served: Served, client: Client, redis_server: FakeServer
) -> None:
    request = client.event()
    redis_server.connected = False
    exchange = await request.sent_to(served.app)
    assert (exchange.status, exchange.envelope["code"]) == (503, 50003)
    assert await count_events(served.app) == 0
    redis_server.connected = True
    assert (await request.sent_to(served.app)).status == 201


async def test_a_forged_request_is_refused_without_asking_redis(
    served: Served, client: Client, redis_server: FakeServer
) -> None:
    redis_server.connected = False
    forged = replace(client.request(), signature=b"0" * 64)
    assert (await forged.sent_to(served.app)).status == 401


async def test_a_redis_that_has_lost_its_data_lets_a_replay_through_while_its_time_is_valid(
    served: Served, client: Client
) -> None:
    """What docs/signing.md says about persistence is so."""
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    await resources_of(served.app).redis.flushall()
    assert (await request.sent_to(served.app)).status == 200
    assert (await request.sent_to(served.app)).status == 401
