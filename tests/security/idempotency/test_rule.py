"""Every POST that creates takes an `Idempotency-Key`; those that are public have no caller."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

from internal.app import ROUTERS, create_app
from internal.controllers.doors import ClientDoor, door_of
from tests.conftest import MakeSettings
from tests.security.accounts import Replica
from tests.security.callers import filled

pytestmark = pytest.mark.anyio

CREATED_OR_ACCEPTED = (201, 202)
HEADER = "Idempotency-Key"


def creating() -> Iterator[APIRoute]:
    """The routes behind a door that make something."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            creates = "POST" in (route.methods or ()) and route.status_code in CREATED_OR_ACCEPTED
            if creates and door_of(route):
                yield route


ROUTES = list(creating())


def test_there_are_routes_that_create() -> None:
    assert {route.operation_id for route in ROUTES} >= {
        "createUser",
        "createClient",
        "rotateClient",
        "createWebhookEndpoint",
        "rotateWebhookEndpoint",
        "reportAuditEvent",
        "createJob",
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
async def test_a_post_that_creates_documents_the_header(service: Replica, route: APIRoute) -> None:
    operation = service.app.openapi()["paths"][route.path_format]["post"]
    headers = [item["name"] for item in operation["parameters"] if item["in"] == "header"]
    assert headers == [HEADER]
    assert "409" in operation["responses"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
async def test_a_post_that_creates_is_carried_out_once(service: Replica, route: APIRoute) -> None:
    operation = service.app.openapi()["paths"][route.path_format]["post"]
    body = None
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
    key = service.populated.keys["scoped"]
    path = filled(
        route.path_format,
        client_id=key.client_id,
        endpoint_id=service.populated.endpoint.client_id,
    )

    async def send() -> Any:
        headers = {HEADER: "a-key"}
        if isinstance(door_of(route), ClientDoor):
            return await service.http.post(path, json=body, headers=headers, auth=key.auth)
        headers |= (await service.login("admin")).headers
        return await service.http.post(path, json=body, headers=headers)

    assert (await send()).status_code == route.status_code
    again = await send()
    assert again.status_code == 409 or again.headers["idempotent-replayed"] == "true"


def test_no_other_operation_offers_the_header(make_settings: MakeSettings) -> None:
    offering = {
        operation["operationId"]
        for path in create_app(make_settings()).openapi()["paths"].values()
        for operation in path.values()
        if HEADER in [parameter["name"] for parameter in operation.get("parameters", ())]
    }
    assert offering == {route.operation_id for route in ROUTES}
