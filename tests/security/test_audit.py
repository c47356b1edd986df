"""Who did what to which object: one event a deed, in the deed's own transaction."""

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.models.audit_event import AuditEvent
from internal.schemas.users import UserChange
from internal.services import audit
from internal.services.unit_of_work import UnitOfWorkSession
from tests.security.accounts import PASSWORD, Replica
from tests.security.callers import Callers, gather_callers
from tests.security.conftest import Serve
from tests.security.test_authorization import TABLE

pytestmark = pytest.mark.anyio

TRACE_ID, ADDRESS = "ef" * 16, "198.51.100.7"
TABLES = (
    *("users", "login_sessions", "refresh_tokens", "api_clients", "idempotency_keys"),
    *("audit_events", "webhook_endpoints", "jobs"),
)


class Deed(NamedTuple):
    """Who does it, and what the log says: the actor and the object by the names of `named`."""

    role: str
    action: str
    actor: tuple[str, str]
    target: tuple[str, str]


DEEDS = {
    "POST /v1/auth/register": Deed("nobody", "user.register", ("user", "new"), ("user", "new")),
    "POST /v1/auth/login": Deed("nobody", "login.success", ("user", "other"), ("user", "other")),
    "POST /v1/auth/logout": Deed("user", "session.end", ("user", "user"), ("session", "session")),
    "POST /v1/auth/logout-everywhere": Deed(
        "user", "user.logout_everywhere", ("user", "user"), ("user", "user")
    ),
    "POST /v1/auth/password": Deed(
        "user", "user.change_password", ("user", "user"), ("user", "user")
    ),
    "POST /v1/users": Deed("admin", "user.create", ("user", "admin"), ("user", "new")),
    "PATCH /v1/users/{user_id}": Deed("admin", "user.update", ("user", "admin"), ("user", "user")),
    "POST /v1/clients": Deed("admin", "client.create", ("user", "admin"), ("client", "new client")),
    "POST /v1/clients/{client_id}/rotate": Deed(
        "admin", "client.rotate", ("user", "admin"), ("client", "target")
    ),
    "POST /v1/clients/{client_id}/revoke": Deed(
        "admin", "client.revoke", ("user", "admin"), ("client", "target")
    ),
    "POST /v1/jobs": Deed("admin", "job.submit", ("user", "admin"), ("job", "new")),
    "POST /v1/jobs/{job_id}/cancel": Deed("user", "job.cancel", ("user", "user"), ("job", "new")),
    "POST /v1/jobs/{job_id}/retry": Deed("user", "job.retry", ("user", "user"), ("job", "new")),
    "POST /v1/webhook-endpoints": Deed(
        "admin", "webhook_endpoint.create", ("user", "admin"), ("webhook_endpoint", "new endpoint")
    ),
    "PATCH /v1/webhook-endpoints/{endpoint_id}": Deed(
        "admin", "webhook_endpoint.update", ("user", "admin"), ("webhook_endpoint", "endpoint")
    ),
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate": Deed(
        "admin", "webhook_endpoint.rotate", ("user", "admin"), ("webhook_endpoint", "endpoint")
    ),
    "DELETE /v1/webhook-endpoints/{endpoint_id}": Deed(
        "admin", "webhook_endpoint.delete", ("user", "admin"), ("webhook_endpoint", "endpoint")
    ),
    "POST /v1/internal/audit-events": Deed(
        "scoped", "invoice.cancel", ("client", "scoped"), ("invoice", "reported")
    ),
}
# A spent refresh token is a row of its own; there is one every half hour for every user.
LEAVES_NONE = {"POST /v1/auth/refresh"}
# The page's forms, which do what routes of the API do; their log is in test_operations_page.py.
FORMS = {"POST /ops/login", "POST /ops/logout", "POST /ops/jobs/{job_id}/retry"}


@pytest.fixture
async def behind_a_proxy(serve: Serve) -> AsyncGenerator[Callers]:
    async with serve(TRUSTED_PROXIES="203.0.113.0/24") as service:
        yield await gather_callers(service)


def test_every_route_that_changes_something_is_here() -> None:
    changing = {route for route in TABLE if not route.startswith(("GET ", "HEAD "))}
    assert changing == set(DEEDS) | LEAVES_NONE | FORMS


async def everything(service: Replica) -> dict[str, list[dict[str, Any]]]:
    return {table: await service.rows(table) for table in TABLES}


async def named(service: Replica, data: Mapping[str, Any]) -> dict[str, str]:
    """Ids by what this file calls them; of what the deed has made, from its reply."""
    sessions = {row["user_id"]: row["id"] for row in await service.rows("login_sessions")}
    clients = {row["name"]: row["id"] for row in await service.rows("api_clients")}
    ids = service.populated.ids
    found = {
        **ids,
        "scoped": clients["scoped"],
        "session": sessions[ids["user"]],
        "target": service.populated.keys["target"].client_id,
        "new": data.get("id"),
        "new client": data.get("client", {}).get("client_id"),
        "endpoint": service.populated.endpoint.client_id,
        "new endpoint": data.get("endpoint", {}).get("id"),
        "reported": data.get("object_id"),
    }
    return {name: str(value) for name, value in found.items()}


@pytest.mark.parametrize("route", DEEDS)
async def test_every_deed_leaves_one_event_that_says_who_what_where_and_in_which_request(
    behind_a_proxy: Callers, route: str
) -> None:
    callers, deed = behind_a_proxy, DEEDS[route]
    service = callers.service
    before = len(await service.events())
    headers = {"X-Trace-ID": TRACE_ID, "X-Forwarded-For": ADDRESS}
    reply = await callers.call(deed.role, route, headers=headers)
    assert reply.status_code < 300, reply.text
    (row,) = (await service.events())[before:]
    ids = await named(service, reply.json()["data"] or {})
    assert row["action"] == deed.action
    assert (row["actor_kind"], str(row["actor_id"])) == (deed.actor[0], ids[deed.actor[1]])
    assert (row["object_type"], row["object_id"]) == (deed.target[0], ids[deed.target[1]])
    assert (row["trace_id"], row["address"]) == (TRACE_ID, ADDRESS)
    assert abs(row["created_at"] - utc_now()) < timedelta(minutes=1)


@pytest.mark.parametrize("route", DEEDS)
async def test_a_failure_right_after_the_event_leaves_neither_it_nor_the_deed(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    record = audit.record
    written: list[AuditEvent] = []

    async def record_and_fail(session: AsyncSession, *rest: Any) -> AuditEvent:
        written.append(await record(session, *rest))
        raise RuntimeError("right after the event")

    job_id = await callers.job_for(route)
    before = await everything(callers.service)
    with monkeypatch.context() as patch:
        keep_to(job_id, patch)
        patch.setattr(audit, "record", record_and_fail)
        reply = await callers.call(DEEDS[route].role, route)
    assert reply.status_code == 500
    assert len(written) == 1
    assert await everything(callers.service) == before


def keep_to(job_id: int, patch: pytest.MonkeyPatch) -> None:
    """No call makes a job of its own: what it leaves would be taken for what the route has left."""

    async def made_already(_callers: Callers, _route: str) -> int:
        return job_id

    patch.setattr(Callers, "job_for", made_already)


@pytest.mark.parametrize("route", [*DEEDS, *LEAVES_NONE])
async def test_a_failure_at_the_commit_leaves_nothing(callers: Callers, route: str) -> None:
    def fail(_session: object) -> None:
        raise RuntimeError("at the commit")

    role = DEEDS[route].role if route in DEEDS else "user"
    job_id = await callers.job_for(route)
    before = await everything(callers.service)
    with pytest.MonkeyPatch.context() as patch:
        keep_to(job_id, patch)
        event.listen(UnitOfWorkSession, "before_commit", fail)
        try:
            reply = await callers.call(role, route)
        finally:
            event.remove(UnitOfWorkSession, "before_commit", fail)
    assert reply.status_code == 500
    assert await everything(callers.service) == before
    assert (await callers.call(role, route)).status_code < 300


async def test_what_only_reads_or_is_refused_leaves_no_event(callers: Callers) -> None:
    service = callers.service
    before = await service.events()
    for route, statuses in TABLE.items():
        if route.startswith(("GET ", "HEAD ")):
            for role in ("nobody", "user", "other", "admin", "scoped"):
                await callers.call(role, route)
        elif statuses[0] == 401 and "refresh" not in route:
            await callers.call("nobody", route)
            await callers.call("disabled", route)
    admin, own = "admin", f"/v1/users/{service.populated.ids['user']}"
    for role, method, path, body, status in (
        (admin, "POST", "/v1/users", {"username": "user", "password": PASSWORD}, 409),
        (admin, "POST", "/v1/users", {"username": "x", "password": PASSWORD}, 422),
        (admin, "PATCH", "/v1/users/1", {"display_name": "x"}, 404),
        (admin, "POST", "/v1/clients/gw_unknown/revoke", None, 404),
        (admin, "POST", "/v1/clients/gw_unknown/rotate", {}, 404),
        ("user", "PATCH", own, {"role": "admin"}, 403),
        ("other", "PATCH", own, {"display_name": "x"}, 404),
        ("nobody", "POST", "/v1/auth/register", {"username": "user", "password": PASSWORD}, 409),
        ("nobody", "POST", "/v1/auth/refresh", {"refresh_token": "none"}, 401),
    ):
        reply = await callers.send(role, method, path, json=body)
        assert reply.status_code == status, (method, path)
    assert await service.events() == before


async def test_a_wrong_current_password_is_an_event_like_a_failed_login(callers: Callers) -> None:
    service, before = callers.service, len(await callers.service.events())
    body = {"current_password": "wrong horse battery staple", "new_password": PASSWORD}
    reply = await callers.send("user", "POST", "/v1/auth/password", json=body)
    assert reply.status_code == 403
    (row,) = (await service.events())[before:]
    user_id = service.populated.ids["user"]
    assert row["action"] == "user.change_password_failure"
    assert (row["actor_kind"], row["actor_id"]) == ("user", user_id)
    assert (row["object_type"], row["object_id"]) == ("user", str(user_id))
    assert row["details"] == {}


async def test_a_rekey_is_an_event_of_every_client(service: Replica) -> None:
    before = len(await service.events())
    await service.services.clients.rekey(OPERATOR)
    events = (await service.events())[before:]
    assert {row["action"] for row in events} == {"client.rekey"}
    keys = service.populated.keys.values()
    assert sorted(row["object_id"] for row in events) == sorted(key.client_id for key in keys)


async def test_a_rekey_is_an_event_of_every_endpoint(service: Replica) -> None:
    before = len(await service.events())
    await service.services.webhook_endpoints.rekey(OPERATOR)
    (row,) = (await service.events())[before:]
    assert (row["action"], row["actor_kind"]) == ("webhook_endpoint.rekey", "operator")
    assert row["object_id"] == service.populated.endpoint.client_id


async def test_of_an_endpoints_url_the_log_has_the_host_and_nothing_that_may_be_a_token(
    callers: Callers,
) -> None:
    before = len(await callers.service.events())
    body = {"url": "https://hooks.example:8443/T0KEN?key=T0KEN", "owner": "billing"}
    path = f"/v1/webhook-endpoints/{callers.service.populated.endpoint.client_id}"
    await callers.send("admin", "POST", "/v1/webhook-endpoints", json=body)
    await callers.send("admin", "PATCH", path, json={**body, "disabled": True})
    created, updated = (row["details"] for row in (await callers.service.events())[before:])
    assert created == {"host": "hooks.example:8443", "owner": "billing"}
    assert updated == {**created, "disabled": True}


async def test_a_client_that_is_revoked_twice_is_one_event(callers: Callers) -> None:
    before = len(await callers.service.events())
    for _ in range(2):
        await callers.call("admin", "POST /v1/clients/{client_id}/revoke")
    assert len(await callers.service.events()) == before + 1


async def test_no_event_holds_a_secret(callers: Callers) -> None:
    service = callers.service
    secrets = {PASSWORD, "a new horse and its staple"}
    for route, deed in DEEDS.items():
        reply = await callers.call(deed.role, route)
        data = reply.json()["data"] or {}
        secrets |= {
            data[name] for name in ("access_token", "refresh_token", "secret") if name in data
        }
    secrets |= {row["password_hash"] for row in await service.rows("users")}
    secrets |= {row["token_hash"] for row in await service.rows("refresh_tokens")}
    assert len(secrets) > 10
    log = json.dumps(await service.events(), default=str)
    assert [secret for secret in secrets if secret in log] == []


async def test_what_an_operator_does_is_an_event_of_an_operator(service: Replica) -> None:
    user_id = service.populated.ids["user"]
    before = len(await service.events())
    await service.services.users.update(OPERATOR, user_id, UserChange(disabled=True))
    await service.services.users.reset_password(OPERATOR, "user", "a new horse and its staple")
    events = (await service.events())[before:]
    assert [row["action"] for row in events] == ["user.update", "user.reset_password"]
    for row in events:
        assert (row["actor_kind"], row["actor_id"]) == ("operator", None)
        assert row["object_id"] == str(user_id)


async def test_admins_find_an_event_by_any_of_its_fields(behind_a_proxy: Callers) -> None:
    callers = behind_a_proxy
    headers = {"X-Trace-ID": TRACE_ID, "X-Forwarded-For": ADDRESS}
    await callers.call("admin", "PATCH /v1/users/{user_id}", headers=headers)
    ids = callers.service.populated.ids
    for params in (
        {"trace_id": TRACE_ID},
        {"actor_id": str(ids["admin"]), "action": "user.update"},
        {"object_type": "user", "object_id": str(ids["user"]), "action": "user.update"},
    ):
        reply = await callers.send("admin", "GET", "/v1/audit-events", params=params)
        (found,) = reply.json()["data"]["items"]
        assert found["details"] == {"display_name": "Ada"}
        assert (found["trace_id"], found["address"]) == (TRACE_ID, ADDRESS)
        assert (found["actor_id"], found["object_id"]) == (str(ids["admin"]), str(ids["user"]))
    everything = (await callers.send("admin", "GET", "/v1/audit-events?limit=100")).json()["data"]
    found_ids = [int(item["id"]) for item in everything["items"]]
    assert found_ids == sorted(found_ids, reverse=True)
    assert everything["total"] == len(await callers.service.events())
