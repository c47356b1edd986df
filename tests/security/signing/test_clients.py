"""Which clients are let in: known, not revoked, with the scope."""

import asyncio
from dataclasses import replace

import pytest

from internal.app import ROUTERS
from internal.config.settings import Settings
from internal.controllers.dependencies import resources_of
from internal.core.caller import OPERATOR
from internal.core.signature import is_signed_with
from internal.services import recent, signed_requests
from tests.security.signing.signed import (
    Client,
    count_events,
    create_client,
    rotate,
)
from tests.unit.http.serving import Served, serving

pytestmark = pytest.mark.anyio


async def revoke(served: Served, client: Client) -> None:
    await resources_of(served.app).services.clients.revoke(OPERATOR, client.client_id)


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The key of every HMAC that is made to check a signature."""
    keys: list[bytes] = []

    def counted(key: bytes, canonical: bytes, signature: bytes) -> bool:
        keys.append(key)
        return is_signed_with(key, canonical, signature)

    monkeypatch.setattr(signed_requests, "is_signed_with", counted)
    return keys


async def test_every_client_known_or_not_costs_the_same_hmacs(
    served: Served, client: Client, comparisons: list[bytes]
) -> None:
    rotated = await rotate(served.app, await create_client(served.app))
    revoked = await create_client(served.app)
    await revoke(served, revoked)
    unknown = replace(client, client_id="gw_nobody")
    costs = {}
    for name, caller in {
        "one secret": client,
        "two secrets": rotated,
        "revoked": revoked,
        "unknown": unknown,
    }.items():
        for kind, request in {
            "valid": caller.request(),
            "forged": replace(caller.request(), signature=b"0" * 64),
        }.items():
            comparisons.clear()
            await request.sent_to(served.app)
            costs[name, kind] = len(comparisons)
    assert set(costs.values()) == {2}


async def test_what_stands_in_for_a_missing_secret_opens_nothing(
    served: Served, client: Client, comparisons: list[bytes]
) -> None:
    nobody = replace(client, client_id="gw_nobody")
    assert (await nobody.request().sent_to(served.app)).status == 401
    for key in list(comparisons):
        assert len(key) == 32
        assert (await nobody.request().under(key).sent_to(served.app)).status == 401
        assert (await client.request().under(key).sent_to(served.app)).status == 401


async def test_an_unknown_a_revoked_and_a_forging_client_get_the_same_reply(
    served: Served, client: Client
) -> None:
    revoked = await create_client(served.app)
    await revoke(served, revoked)
    replies = set()
    for request in (
        replace(client, client_id="gw_nobody").request(),
        revoked.request(),
        replace(client.request(), signature=b"0" * 64),
        client.request(timestamp=b"1"),
        client.request(nonce=b"short"),
    ):
        exchange = await request.sent_to(served.app)
        envelope = exchange.envelope
        envelope.pop("trace_id")
        replies.add((exchange.status, str(envelope), tuple(sorted(exchange.reply_headers.keys()))))
    assert len(replies) == 1


async def test_an_id_in_other_letters_is_another_client(served: Served, client: Client) -> None:
    for client_id in (client.client_id.upper(), client.client_id.lower(), client.client_id + "_"):
        if client_id != client.client_id:
            request = replace(client, client_id=client_id).request()
            assert (await request.sent_to(served.app)).status == 401


async def test_a_revoked_client_is_refused_at_once_by_the_replica_that_revoked_it(
    served: Served, client: Client
) -> None:
    assert (await client.request().sent_to(served.app)).status == 200
    await revoke(served, client)
    assert (await client.request().sent_to(served.app)).status == 401


async def test_a_revoked_client_is_refused_within_2_seconds_by_every_other_replica(
    settings: Settings, served: Served, client: Client
) -> None:
    assert recent.STALE_SECONDS <= 2
    twin = settings.model_copy(update={"snowflake_node_id": 2})
    async with serving(twin, *ROUTERS) as other:
        assert (await client.request().sent_to(other.app)).status == 200
        await revoke(served, client)
        await asyncio.sleep(recent.STALE_SECONDS)
        assert (await client.request().sent_to(other.app)).status == 401


async def test_a_route_with_a_scope_refuses_clients_without_it(served: Served) -> None:
    for scopes in ((), ("audit:read",), ("audit",), ("audit:write:more",)):
        outsider = await create_client(served.app, *scopes)
        exchange = await outsider.event().sent_to(served.app)
        assert (exchange.status, exchange.envelope["code"]) == (403, 40003)
        assert (await outsider.request().sent_to(served.app)).status == 200
    assert await count_events(served.app) == 0


async def test_a_client_sees_its_own_id_and_scopes(served: Served) -> None:
    client = await create_client(served.app, "b:two", "a:one")
    exchange = await client.request().sent_to(served.app)
    assert exchange.envelope["data"] == {
        "client_id": client.client_id,
        "scopes": ["a:one", "b:two"],
    }


async def test_a_signature_opens_no_route_that_asks_for_a_token(
    served: Served, client: Client
) -> None:
    for path in (b"/v1/auth/me", b"/v1/users", b"/v1/clients", b"/v1/audit-events"):
        exchange = await client.request(path).sent_to(served.app)
        assert (exchange.status, exchange.envelope["code"]) == (401, 40001)
