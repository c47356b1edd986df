"""Somebody else's object is answered like one that does not exist, to the byte."""

import pytest

from tests.security.accounts import PASSWORD, Person, Replica
from tests.security.callers import Callers

pytestmark = pytest.mark.anyio

TRACE_ID = {"X-Trace-ID": "cd" * 16}
MAX_ID = (1 << 63) - 1


async def answers(
    callers: Callers, role: str, method: str, paths: list[str], **more: object
) -> set[tuple[int, bytes]]:
    replies = [await callers.send(role, method, path, headers=TRACE_ID, **more) for path in paths]
    return {(reply.status_code, reply.content) for reply in replies}


@pytest.mark.parametrize("role", ["user", "other"])
@pytest.mark.parametrize(
    "change",
    [None, {}, {"display_name": "stolen"}, {"role": "admin"}, {"disabled": True}],
    ids=str,
)
async def test_another_users_account_is_answered_like_one_that_there_is_not(
    callers: Callers, role: str, change: dict[str, object] | None
) -> None:
    ids = callers.service.populated.ids
    users = await callers.service.rows("users")
    others = [user_id for name, user_id in ids.items() if name != role]
    unknown = [0, 1, max(ids.values()) + 1, MAX_ID]
    method, body = ("GET", None) if change is None else ("PATCH", change)
    paths = [f"/v1/users/{user_id}" for user_id in (*others, *unknown)]
    found = await answers(callers, role, method, paths, json=body)
    assert [status for status, _ in found] == [404]
    assert await callers.service.rows("users") == users


async def test_no_other_spelling_of_an_id_leads_to_somebody_else(callers: Callers) -> None:
    others, own = callers.service.populated.ids["other"], callers.service.populated.ids["user"]
    for spelling in (
        *(
            f"0{others}"[-19:],
            f"+{others}",
            f"-{others}",
            f"{others}.0",
            f"{others}e0",
            f"{others}_0",
        ),
        *(f"%20{others}", f"{others}%20", f"{others}%00", f"{others}%0a", f"{hex(others)}"),
        *("".join(chr(0xFF10 + int(digit)) for digit in str(others)), f"{others + (1 << 63)}"),
        *(f"{others + (1 << 64)}", f"{own},{others}", f"{own}%2F..%2F{others}", f"[{others}]"),
        *(f"{own}/../{others}", f"{own}%3Bid={others}", "me", "null", "true", "%E0%A4%A", "*", "%"),
        "9" * 4000,
    ):
        reply = await callers.send("user", "GET", f"/v1/users/{spelling}")
        assert reply.status_code in (404, 422), spelling
    for query in (f"user_id={others}", f"id={others}", f"sub={others}"):
        reply = await callers.send("user", "GET", f"/v1/users/{own}?{query}")
        assert reply.json()["data"]["username"] == "user"
        reply = await callers.send("user", "GET", f"/v1/auth/me?{query}")
        assert reply.json()["data"]["username"] == "user"


async def test_only_admins_see_which_clients_there_are(callers: Callers) -> None:
    known = callers.service.populated.keys["target"].client_id
    paths = [f"/v1/clients/{client_id}" for client_id in (known, "gw_unknown", "x", "0")]
    for role, status in (("user", 403), ("nobody", 401), ("scoped", 401), ("disabled", 401)):
        for method, end in (("GET", ""), ("POST", "/revoke"), ("POST", "/rotate")):
            found = await answers(callers, role, method, [path + end for path in paths], json={})
            assert [status for status, _ in found] == [status], (role, method)
    assert (await callers.send("admin", "GET", paths[0])).status_code == 200
    found = await answers(callers, "admin", "GET", paths[1:])
    assert [status for status, _ in found] == [404]


async def test_only_admins_read_the_audit_log_whatever_they_ask_for(callers: Callers) -> None:
    own = callers.service.populated.ids["user"]
    paths = [
        f"/v1/audit-events{query}"
        for query in ("", f"?actor_id={own}", "?actor_id=0", f"?object_id={own}", "?limit=1000")
    ]
    for role, status in (("user", 403), ("nobody", 401), ("scoped", 401), ("disabled", 401)):
        found = await answers(callers, role, "GET", paths)
        assert [status for status, _ in found] == [status], role


async def ended(service: Replica) -> set[int]:
    rows = await service.rows("login_sessions")
    return {row["user_id"] for row in rows if row["ended_at"] is not None}


@pytest.mark.parametrize("path", ["/v1/auth/logout", "/v1/auth/logout-everywhere"])
async def test_a_logout_takes_no_others_session_whatever_it_names(
    callers: Callers, path: str
) -> None:
    service = callers.service
    sessions = {row["user_id"]: row["id"] for row in await service.rows("login_sessions")}
    other = service.populated.ids["other"]
    named = {"sid": str(sessions[other]), "user_id": str(other), "session_id": sessions[other]}
    reply = await callers.send("user", "POST", path, json=named, params=named)
    assert reply.status_code == 200
    assert await ended(service) == {service.populated.ids["user"]}
    assert await service.me(callers.people["other"].access_token) == 200


async def test_a_password_is_changed_for_nobody_but_its_owner(callers: Callers) -> None:
    service = callers.service
    other = service.populated.ids["other"]
    before = {row["id"]: row["password_hash"] for row in await service.rows("users")}
    body = {"current_password": PASSWORD, "new_password": "a new horse and its staple"}
    for extra in ({"user_id": str(other)}, {"username": "other"}, {"id": str(other)}):
        reply = await callers.send("user", "POST", "/v1/auth/password", json=body | extra)
        assert reply.status_code == 422
    reply = await callers.send("user", "POST", "/v1/auth/password", json=body, params={"id": other})
    assert reply.status_code == 200
    after = {row["id"]: row["password_hash"] for row in await service.rows("users")}
    changed = {user_id for user_id in before if before[user_id] != after[user_id]}
    assert changed == {service.populated.ids["user"]}


async def test_a_refresh_token_speaks_for_its_own_user_whoever_sends_it(callers: Callers) -> None:
    others: Person = callers.people["other"]
    body = {"refresh_token": others.refresh_token}
    reply = await callers.send("user", "POST", "/v1/auth/refresh", json=body)
    token = {"Authorization": f"Bearer {reply.json()['data']['access_token']}"}
    me = await callers.service.http.get("/v1/auth/me", headers=token)
    assert me.json()["data"]["username"] == "other"
