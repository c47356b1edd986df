"""A body changes what its route offers and nothing else."""

from typing import Any

import pytest

from internal.app import create_app
from internal.core.clock import utc_now
from tests.conftest import MakeSettings
from tests.security.callers import Callers, filled

pytestmark = pytest.mark.anyio

HOSTILE: dict[str, Any] = {
    "id": "1",
    "user_id": "1",
    "username": "admin2",
    "role": "admin",
    "roles": ["admin"],
    "is_admin": True,
    "admin": True,
    "disabled": False,
    "disabled_at": None,
    "token_version": 1,
    "password": "a new horse and its staple",
    "password_hash": "$2b$04$" + "x" * 53,
    "scopes": ["audit:write"],
    "client_id": "gw_mine",
    "secret": "mine",
    "secret_1": "mine",
    "newest_slot": 2,
    "revoked": False,
    "revoked_at": None,
    "actor_id": "1",
    "actor_kind": "operator",
    "address": "203.0.113.1",
    "trace_id": "0" * 32,
    "creator_id": 1,
    "created_at": "2020-01-01T00:00:00Z",
    "updated_at": "2020-01-01T00:00:00Z",
    "deleted_at": "2020-01-01T00:00:00Z",
    "expires_at": "2040-01-01T00:00:00Z",
    "owner_id": "1",
    "status": "succeeded",
    "attempt": 0,
    "max_attempts": 1_000_000,
    "next_run_at": "2020-01-01T00:00:00Z",
    "result": {"rows": 1},
    "Role": "admin",
    "role ": "admin",
    "role\0": "admin",
    "__class__": "admin",
    "__proto__": {"role": "admin"},
    "constructor": {"prototype": {"role": "admin"}},
    "": "admin",
}

# What each body offers, and who sends it.
OFFERED = {
    "POST /v1/auth/register": ("nobody", {"username", "password", "display_name"}),
    "POST /v1/auth/login": ("nobody", {"username", "password"}),
    "POST /v1/auth/refresh": ("user", {"refresh_token"}),
    "POST /v1/auth/password": ("user", {"current_password", "new_password"}),
    "POST /v1/users": ("admin", {"username", "password", "display_name", "role"}),
    "PATCH /v1/users/{user_id}": ("admin", {"display_name", "role", "disabled"}),
    "POST /v1/clients": ("admin", {"name", "scopes"}),
    "POST /v1/clients/{client_id}/rotate": ("admin", {"keep_previous"}),
    "POST /v1/webhook-endpoints": ("admin", {"url", "owner"}),
    "PATCH /v1/webhook-endpoints/{endpoint_id}": ("admin", {"url", "owner", "disabled"}),
    "POST /v1/jobs": ("admin", {"kind", "payload", "run_at"}),
    "POST /v1/internal/audit-events": (
        "scoped",
        {"action", "object_type", "object_id", "details"},
    ),
}
TABLES = (
    *("users", "api_clients", "login_sessions", "refresh_tokens", "audit_events", "jobs"),
    "webhook_endpoints",
)


@pytest.mark.parametrize("route", OFFERED)
async def test_a_field_that_a_body_does_not_offer_is_refused_and_named(
    callers: Callers, route: str
) -> None:
    role, offered = OFFERED[route]
    method, path = route.split(" ")
    path = filled(
        path,
        user_id=callers.service.populated.ids["user"],
        client_id=callers.service.populated.keys["target"].client_id,
        endpoint_id=callers.service.populated.endpoint.client_id,
    )
    before = {table: await callers.service.rows(table) for table in TABLES}
    for name, value in HOSTILE.items():
        if name in offered:
            continue
        body = {**(callers.body(role, route) or {}), name: value}
        reply = await callers.send(role, method, path, json=body)
        assert reply.status_code == 422, name
        (problem,) = reply.json()["data"]
        assert problem["field"] == f"body.{name}"
        assert problem["type"] == "extra_forbidden"
    assert {table: await callers.service.rows(table) for table in TABLES} == before


def test_what_each_body_offers_is_what_the_document_says(make_settings: MakeSettings) -> None:
    document = create_app(make_settings()).openapi()
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            properties = document["components"]["schemas"][name]["properties"]
            found[f"{method.upper()} {path}"] = set(properties)
    assert found == {route: offered for route, (_, offered) in OFFERED.items()}


async def test_a_query_or_a_header_is_no_second_body(callers: Callers) -> None:
    body = {"username": "new", "password": "a new horse and its staple"}
    smuggled = {"role": "admin", "id": "1", "disabled": "true", "token_version": "9"}
    headers = {"X-Role": "admin", "X-User-Id": "1", "X-HTTP-Method-Override": "DELETE"}
    reply = await callers.send(
        "nobody", "POST", "/v1/auth/register", json=body, params=smuggled, headers=headers
    )
    assert reply.status_code == 201
    row = next(row for row in await callers.service.rows("users") if row["username"] == "new")
    assert (row["role"], row["token_version"], row["disabled_at"]) == ("user", 1, None)
    assert row["id"] != 1


@pytest.mark.parametrize("change", [{"role": "admin"}, {"role": "user"}, {"disabled": False}])
async def test_users_cannot_change_what_is_for_admins_even_on_their_own_account(
    callers: Callers, change: dict[str, object]
) -> None:
    before = await callers.service.rows("users")
    path = f"/v1/users/{callers.service.populated.ids['user']}"
    for body in (change, change | {"display_name": "x"}):
        reply = await callers.send("user", "PATCH", path, json=body)
        assert (reply.status_code, reply.json()["message"]) == (403, "forbidden")
    assert await callers.service.rows("users") == before


async def test_of_a_field_that_is_sent_twice_no_one_gains_a_role(callers: Callers) -> None:
    for body in (
        b'{"username":"new1","password":"a new horse and its staple","role":"admin","role":"user"}',
        b'{"username":"new2","role":"admin","password":"a new horse and its staple"}',
        b'[{"username":"new3","password":"a new horse and its staple","role":"admin"}]',
    ):
        reply = await callers.send(
            "nobody",
            "POST",
            "/v1/auth/register",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert reply.status_code == 422
    assert len(await callers.service.rows("users")) == len(callers.service.populated.ids)


async def test_a_registration_is_a_user_and_its_rows_are_the_services_own(
    callers: Callers,
) -> None:
    before = utc_now()
    reply = await callers.call("admin", "POST /v1/auth/register")
    row = (await callers.service.rows("users"))[-1]
    assert reply.json()["data"]["id"] == str(row["id"])
    assert (row["role"], row["token_version"]) == ("user", 1)
    assert (row["disabled_at"], row["deleted_at"], row["creator_id"]) == (None, None, None)
    assert before <= row["created_at"] <= utc_now()
