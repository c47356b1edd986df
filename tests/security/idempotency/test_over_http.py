"""`Idempotency-Key` as a client meets it: contract §2."""

import asyncio
import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from internal.config.secrets import generate_key
from internal.core.clock import utc_now
from internal.schemas.audit import AuditEventView
from internal.services import idempotency
from tests.security.accounts import PASSWORD, Replica
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

KEY = "9f0c1c52-3a7e-4d0b-8a53-5b3f7a1f9f10"
EVENT = {
    "action": "invoice.cancel",
    "object_type": "invoice",
    "object_id": "2026-0042",
    "details": {"reason": "重复付款", "amount": 9007199254740991, "final": True, "note": None},
}
USERS, CLIENTS, EVENTS = "/v1/users", "/v1/clients", "/v1/internal/audit-events"


async def report(
    service: Replica, event: object = None, key: str | None = KEY, client: str = "scoped"
) -> httpx.Response:
    """A signed POST that writes a row."""
    headers = {} if key is None else {"Idempotency-Key": key}
    auth = service.populated.keys[client].auth
    return await service.http.post(EVENTS, json=event or EVENT, headers=headers, auth=auth)


async def create(
    service: Replica, path: str, body: object, key: str = KEY, who: str = "admin"
) -> httpx.Response:
    headers = {**(await service.login(who)).headers, "Idempotency-Key": key}
    return await service.http.post(path, json=body, headers=headers)


def new_user(username: str = "grace", **more: object) -> dict[str, Any]:
    return {"username": username, "password": PASSWORD, **more}


async def reported(service: Replica) -> list[dict[str, Any]]:
    return [event for event in await service.events() if event["action"] == EVENT["action"]]


def data_bytes(reply: httpx.Response) -> bytes:
    """`data` as it was sent."""
    return reply.content.partition(b'"data":')[2].rpartition(b',"trace_id":')[0]


async def test_the_same_key_and_body_get_the_stored_data_byte_for_byte(service: Replica) -> None:
    first = await report(service)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    for _ in range(3):
        again = await report(service)
        assert again.status_code == 201
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        assert data_bytes(again) == data_bytes(first) != b""
        assert again.json()["trace_id"] != first.json()["trace_id"]
    assert len(await reported(service)) == 1


async def test_without_a_key_every_request_is_carried_out(service: Replica) -> None:
    ids = {(await report(service, key=None)).json()["data"]["id"] for _ in range(2)}
    assert len(ids) == 2
    assert await service.rows("idempotency_keys") == []


async def test_another_key_is_another_request(service: Replica) -> None:
    replies = [await report(service, key=key) for key in (KEY, KEY.upper(), KEY[:-1])]
    assert [reply.status_code for reply in replies] == [201] * 3
    assert len(await reported(service)) == 3


async def test_another_body_under_a_used_key_is_refused(service: Replica) -> None:
    assert (await report(service)).status_code == 201
    for event in ({**EVENT, "object_id": "2026-0043"}, dict(reversed(EVENT.items()))):
        reply = await report(service, event)
        assert (reply.status_code, reply.json()["code"]) == (422, 40006)
        assert reply.json()["message"] == "this key belongs to another body"
    assert len(await reported(service)) == 1


async def test_another_caller_has_keys_of_its_own(service: Replica) -> None:
    assert (await create(service, USERS, new_user(role="admin"))).status_code == 201
    reply = await create(service, USERS, new_user("edsger"), who="grace")
    assert (reply.status_code, reply.json()["data"]["username"]) == (201, "edsger")


async def test_another_path_or_query_is_another_request(service: Replica) -> None:
    assert (await create(service, USERS, new_user())).status_code == 201
    assert (await create(service, CLIENTS, {"name": "billing"})).status_code == 201
    reply = await create(service, f"{USERS}?source=form", new_user("edsger"))
    assert "idempotent-replayed" not in reply.headers
    assert reply.json()["data"]["username"] == "edsger"


async def test_who_may_not_do_it_gets_no_stored_reply(service: Replica) -> None:
    assert (await create(service, USERS, new_user())).status_code == 201
    assert (await create(service, USERS, new_user(), who="user")).status_code == 403
    headers = {"Idempotency-Key": KEY}
    assert (await service.http.post(USERS, json=new_user(), headers=headers)).status_code == 401


async def test_work_that_failed_is_not_stored_and_may_be_tried_again_under_its_key(
    service: Replica,
) -> None:
    assert (await create(service, USERS, new_user("user"))).status_code == 409
    assert (await create(service, USERS, new_user("x"))).status_code == 422
    assert (await create(service, USERS, new_user(), who="user")).status_code == 403
    assert await service.rows("idempotency_keys") == []
    assert (await create(service, USERS, new_user())).status_code == 201


async def test_a_crash_is_not_stored_and_leaves_no_effect(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # After the event's row is written, and before the transaction ends.
        patch.setattr(AuditEventView, "of", lambda _row: 1 / 0)
        assert (await report(service)).status_code == 500
    assert await reported(service) == []
    assert await service.rows("idempotency_keys") == []
    assert "idempotent-replayed" not in (await report(service)).headers
    assert len(await reported(service)) == 1


async def test_a_reply_that_held_a_secret_is_not_kept(service: Replica) -> None:
    first = await create(service, CLIENTS, {"name": "billing"})
    assert first.status_code == 201
    for _ in range(2):
        again = await create(service, CLIENTS, {"name": "billing"})
        assert (again.status_code, again.json()["code"]) == (409, 40009)
        assert again.json()["data"] is None
    assert (await create(service, CLIENTS, {"name": "other"})).status_code == 422
    assert len(await service.rows("api_clients")) == len(service.populated.keys) + 1
    stored = json.dumps(await service.rows("idempotency_keys"), default=str)
    assert first.json()["data"]["secret"] not in stored


async def test_a_rotation_is_carried_out_once(service: Replica) -> None:
    path = f"{CLIENTS}/{service.populated.keys['scoped'].client_id}/rotate"
    assert (await create(service, path, {})).status_code == 201
    before = await service.rows("api_clients")
    assert (await create(service, path, {})).status_code == 409
    assert await service.rows("api_clients") == before


async def test_a_stored_key_is_no_oracle_for_a_password(service: Replica) -> None:
    """Whoever reads the database must pay for bcrypt at every guess."""
    body = json.dumps(new_user()).encode()
    headers = {**(await service.login("admin")).headers, "Content-Type": "application/json"}
    headers["Idempotency-Key"] = KEY
    assert (await service.http.post(USERS, content=body, headers=headers)).status_code == 201
    (row,) = await service.rows("idempotency_keys")
    assert row["body_hash"] != hashlib.sha256(body).hexdigest()
    assert PASSWORD not in str(row)


async def test_a_reply_is_found_again_while_aes_keys_are_changed(serve: Serve) -> None:
    old, new = generate_key(), generate_key()
    async with serve(AES_SECRET=old) as before:
        first = await create(before, USERS, new_user())
    async with serve(AES_SECRET=new, AES_SECRET_PREVIOUS=old) as after:
        again = await create(after, USERS, new_user())
    assert (first.status_code, again.status_code) == (201, 201)
    assert data_bytes(again) == data_bytes(first)


async def test_a_key_is_kept_for_24_hours_and_is_new_after_them(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, now = await report(service), utc_now()
    monkeypatch.setattr(idempotency, "utc_now", lambda: now + timedelta(hours=23, minutes=59))
    assert (await report(service)).headers["idempotent-replayed"] == "true"
    monkeypatch.setattr(idempotency, "utc_now", lambda: now + timedelta(hours=24, seconds=1))
    other = {**EVENT, "object_id": "2026-0043"}
    anew = await report(service, other)
    assert anew.status_code == 201
    assert "idempotent-replayed" not in anew.headers
    assert data_bytes(anew) != data_bytes(first)
    assert data_bytes(await report(service, other)) == data_bytes(anew)
    assert len(await service.rows("idempotency_keys")) == 1


@pytest.mark.parametrize(
    "key", ["", " ", "a b", "x" * 256, "tab\tin", "clé", "k\x7f"], ids=lambda key: key[:8]
)
async def test_a_malformed_key_is_refused_and_nothing_is_done(service: Replica, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    auth = service.populated.keys["scoped"].auth
    reply = await service.http.post(EVENTS, json=EVENT, headers=headers, auth=auth)
    assert (reply.status_code, reply.json()["code"]) == (422, 40006)
    assert reply.json()["data"][0]["field"] == "header.Idempotency-Key"
    assert await reported(service) == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "!~{}\"'\\;--"])
async def test_a_key_is_1_to_255_visible_characters(service: Replica, key: str) -> None:
    first, again = await report(service, key=key), await report(service, key=key)
    assert first.status_code == again.status_code == 201
    assert data_bytes(first) == data_bytes(again)


async def test_many_at_the_same_moment_are_carried_out_once(service: Replica) -> None:
    replies = await asyncio.gather(*(report(service) for _ in range(10)))
    assert {reply.status_code for reply in replies} <= {201, 409}
    done = [reply for reply in replies if reply.status_code == 201]
    assert len({data_bytes(reply) for reply in done}) == 1
    assert sum("idempotent-replayed" not in reply.headers for reply in done) == 1
    assert len(await reported(service)) == 1
