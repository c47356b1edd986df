"""Who may do what: every route, asked by everybody, against a table.

A new route needs a row: the first test fails without it.
"""

import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from internal.app import ROUTERS, create_app
from internal.core.errors import StartError
from tests.conftest import MakeSettings
from tests.security.accounts import Replica
from tests.security.callers import ROLES, Callers, filled, gather_callers, routes_of
from tests.security.conftest import Serve
from tests.unit.http.serving import public_router

pytestmark = pytest.mark.anyio

# fmt: off
TABLE: dict[str, tuple[int, int, int, int, int, int, int]] = {
    #                                 nobody  user other admin disabled scopeless scoped
    "POST /v1/auth/register":            (201, 201, 201, 201, 201, 201, 201),
    "POST /v1/auth/login":               (200, 200, 200, 200, 200, 200, 200),
    "POST /v1/auth/refresh":             (401, 200, 200, 200, 401, 401, 401),
    "POST /v1/auth/logout":              (401, 200, 200, 200, 401, 401, 401),
    "POST /v1/auth/logout-everywhere":   (401, 200, 200, 200, 401, 401, 401),
    "GET /v1/auth/me":                   (401, 200, 200, 200, 401, 401, 401),
    "POST /v1/auth/password":            (401, 200, 200, 200, 401, 401, 401),
    "GET /v1/users":                     (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/users":                    (401, 403, 403, 201, 401, 401, 401),
    "GET /v1/users/{user_id}":           (401, 200, 404, 200, 401, 401, 401),
    "PATCH /v1/users/{user_id}":         (401, 200, 404, 200, 401, 401, 401),
    "GET /v1/clients":                   (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/clients":                  (401, 403, 403, 201, 401, 401, 401),
    "GET /v1/clients/{client_id}":       (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/clients/{client_id}/rotate": (401, 403, 403, 201, 401, 401, 401),
    "POST /v1/clients/{client_id}/revoke": (401, 403, 403, 200, 401, 401, 401),
    "GET /v1/webhook-endpoints":         (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/webhook-endpoints":        (401, 403, 403, 201, 401, 401, 401),
    "GET /v1/webhook-endpoints/{endpoint_id}": (401, 403, 403, 200, 401, 401, 401),
    "PATCH /v1/webhook-endpoints/{endpoint_id}": (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate": (401, 403, 403, 201, 401, 401, 401),
    "DELETE /v1/webhook-endpoints/{endpoint_id}": (401, 403, 403, 200, 401, 401, 401),
    "POST /v1/jobs":                     (401, 422, 422, 202, 401, 401, 401),
    "GET /v1/jobs":                      (401, 200, 200, 200, 401, 401, 401),
    "GET /v1/jobs/{job_id}":             (401, 200, 404, 200, 401, 401, 401),
    "POST /v1/jobs/{job_id}/cancel":     (401, 200, 404, 200, 401, 401, 401),
    "POST /v1/jobs/{job_id}/retry":      (401, 200, 404, 200, 401, 401, 401),
    "GET /v1/jobs/{job_id}/events":      (401, 200, 404, 200, 401, 401, 401),
    "GET /v1/jobs/{job_id}/export":      (401, 403, 403, 404, 401, 401, 401),  # there is none
    "GET /v1/audit-events":              (401, 403, 403, 200, 401, 401, 401),
    "GET /v1/internal/whoami":           (401, 401, 401, 401, 401, 200, 200),
    "POST /v1/internal/audit-events":    (401, 401, 401, 401, 401, 403, 201),
    # By their cookie alone, from their own origin: without, the way in, or no word.
    "GET /ops":                          (303, 303, 303, 303, 303, 303, 303),
    "HEAD /ops":                         (303, 303, 303, 303, 303, 303, 303),
    "GET /ops/login":                    (200, 200, 200, 200, 200, 200, 200),
    "HEAD /ops/login":                   (200, 200, 200, 200, 200, 200, 200),
    "POST /ops/login":                   (403, 403, 403, 403, 403, 403, 403),
    "GET /ops/assets/{digest}/{name}":   (422, 422, 422, 422, 422, 422, 422),
    "HEAD /ops/assets/{digest}/{name}":  (422, 422, 422, 422, 422, 422, 422),
    "POST /ops/jobs/{job_id}/retry":     (403, 403, 403, 403, 403, 403, 403),
    "POST /ops/logout":                  (403, 403, 403, 403, 403, 403, 403),
    "GET /livez":                        (200, 200, 200, 200, 200, 200, 200),
    "HEAD /livez":                       (200, 200, 200, 200, 200, 200, 200),
    "GET /readyz":                       (200, 200, 200, 200, 200, 200, 200),
    "HEAD /readyz":                      (200, 200, 200, 200, 200, 200, 200),
    "GET /healthz":                      (200, 200, 200, 200, 200, 200, 200),
    "HEAD /healthz":                     (200, 200, 200, 200, 200, 200, 200),
    "GET /version":                      (200, 200, 200, 200, 200, 200, 200),
    "GET /metrics":                      (200, 200, 200, 200, 200, 200, 200),
    "HEAD /metrics":                     (200, 200, 200, 200, 200, 200, 200),
}
IN_DEBUG_ONLY: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "GET /openapi.json":                 (200, 200, 200, 200, 200, 200, 200),
    "GET /docs":                         (200, 200, 200, 200, 200, 200, 200),
    "GET /docs/start.js":                (200, 200, 200, 200, 200, 200, 200),
    "GET /docs/{name}":                  (200, 200, 200, 200, 200, 200, 200),
}
# fmt: on


def test_the_table_names_every_route_and_no_other(make_settings: MakeSettings) -> None:
    assert sorted(routes_of(create_app(make_settings()))) == sorted(TABLE)
    debug = create_app(make_settings(DEBUG=True))
    assert sorted(routes_of(debug)) == sorted({**TABLE, **IN_DEBUG_ONLY})


def test_a_route_of_any_kind_would_be_missed_by_the_table(make_settings: MakeSettings) -> None:
    added = public_router()
    added.api_route("/added", methods=["GET", "PUT"])(lambda: None)
    found = routes_of(create_app(make_settings(), (*ROUTERS, added)))
    assert set(found) - set(TABLE) == {"GET /added", "PUT /added"}
    bare = APIRouter()
    bare.routes.append(Mount("/files", app=PlainTextResponse("x")))
    bare.routes.append(Route("/plain", PlainTextResponse("x")))
    with pytest.raises(StartError, match=r"/files.*/plain"):
        create_app(make_settings(), (*ROUTERS, bare))


@pytest.mark.parametrize("route", TABLE)
async def test_every_route_answers_everybody_as_the_table_says(
    callers: Callers, route: str
) -> None:
    found = {role: (await callers.call(role, route)).status_code for role in ROLES}
    assert found == dict(zip(ROLES, TABLE[route], strict=True))


@pytest.mark.parametrize("route", IN_DEBUG_ONLY)
@pytest.mark.parametrize("debug", [True, False], ids=["debug", "no debug"])
async def test_the_docs_are_for_everybody_and_in_debug_only(
    serve: Serve, route: str, *, debug: bool
) -> None:
    async with serve(DEBUG=debug) as service:
        callers = await gather_callers(service)
        found = [(await callers.call(role, route)).status_code for role in ROLES]
        assert found == [status if debug else 404 for status in IN_DEBUG_ONLY[route]]


REFUSED = [
    (route, role, status)
    for route, statuses in TABLE.items()
    for role, status in zip(ROLES, statuses, strict=True)
    if status in (401, 403) and "{" not in route and "refresh" not in route
]


async def test_who_may_not_pass_learns_nothing_about_the_request(callers: Callers) -> None:
    """Neither whether its body would have been valid, nor what it would have met."""
    for route, role, status in REFUSED:
        method, path = route.split(" ")
        if role in ("scopeless", "scoped") and status == 403:
            continue  # what it signs must be what it sends
        headers = {"X-Trace-ID": "ab" * 16}
        valid = await callers.call(role, route, headers=headers)
        for content in (b"", b"{}", b'{"username":7}', b"\xff", b"x" * 100_000):
            reply = await callers.send(role, method, path, content=content, headers=headers)
            assert reply.status_code == status, (route, role, content[:20])
            assert reply.content == valid.content, (route, role, content[:20])


async def test_a_token_and_a_signature_together_open_no_more_than_each_alone(
    callers: Callers,
) -> None:
    key = callers.service.populated.keys["scopeless"]
    headers = callers.people["admin"].headers
    for route, status in (("POST /v1/internal/audit-events", 403), ("GET /v1/users", 200)):
        reply = await callers.call("nobody", route, auth=key.auth, headers=headers)
        assert reply.status_code == status
    headers = callers.people["user"].headers
    reply = await callers.call("nobody", "GET /v1/users", auth=key.auth, headers=headers)
    assert reply.status_code == 403


METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"}


async def test_other_methods_of_a_route_are_405_for_everybody(callers: Callers) -> None:
    offered: dict[str, set[str]] = {}
    for route in TABLE:
        method, path = route.split(" ")
        path = filled(path, client_id="x")
        offered.setdefault(path, set()).add(method)
    for path, methods in offered.items():
        for method in METHODS - methods:
            for role in ("nobody", "admin"):
                reply = await callers.send(role, method, path)
                assert reply.status_code == 405, (method, path)
                assert set(reply.headers["allow"].split(", ")) == methods


async def test_an_admin_cannot_lock_themselves_out(service: Replica) -> None:
    admin = await service.login("admin")
    path = f"/v1/users/{service.populated.ids['admin']}"
    for change in ({"role": "user"}, {"disabled": True}, {"role": "admin"}, {"disabled": False}):
        reply = await service.http.patch(path, json=change, headers=admin.headers)
        assert reply.status_code == 403, change
    assert await service.me(admin.access_token) == 200
    reply = await service.http.patch(path, json={"display_name": "A"}, headers=admin.headers)
    assert reply.status_code == 200
