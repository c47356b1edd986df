import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from internal.app import create_app
from internal.controllers.doors import Door, PublicRoute, require_doors
from internal.core.caller import Caller, anonymous
from internal.core.errors import StartError
from tests.conftest import MakeSettings


class MemberDoor(Door):
    scheme = "bearer"

    async def _identify(self, request: Request, address: str) -> Caller:
        return anonymous(address)

    def _admit(self, caller: Caller) -> None:
        """Lets everybody pass."""


member = MemberDoor()
other = MemberDoor()


async def endpoint() -> str:
    return "in"


async def websocket_endpoint(websocket: WebSocket) -> None:
    await websocket.accept()


def refusal(make_settings: MakeSettings, *routers: APIRouter) -> str:
    with pytest.raises(StartError) as caught:
        create_app(make_settings(), routers)
    return str(caught.value)


def test_a_route_without_a_door_stops_the_start_and_is_named(make_settings: MakeSettings) -> None:
    router = APIRouter()
    router.get("/open")(endpoint)
    router.api_route("/also", methods=["POST", "DELETE"])(endpoint)
    assert refusal(make_settings, router) == (
        "routes: exactly one door must be declared by: GET /open; DELETE, POST /also"
    )


def test_a_route_with_two_doors_stops_the_start(make_settings: MakeSettings) -> None:
    router = APIRouter(dependencies=[Depends(member)])
    router.get("/two", dependencies=[Depends(other)])(endpoint)
    both = APIRouter(route_class=PublicRoute, dependencies=[Depends(member)])
    both.get("/public-and-member")(endpoint)
    text = refusal(make_settings, router, both)
    assert "GET /two" in text
    assert "GET /public-and-member" in text


def test_a_mount_a_plain_route_and_a_websocket_need_a_door_too(
    make_settings: MakeSettings,
) -> None:
    router = APIRouter()
    router.routes.append(Mount("/files", app=PlainTextResponse("x")))
    router.routes.append(Route("/plain", PlainTextResponse("x")))
    router.routes.append(WebSocketRoute("/raw-socket", websocket_endpoint))
    router.websocket("/socket")(websocket_endpoint)
    text = refusal(make_settings, router)
    for path in ("/files", "/plain", "/raw-socket", "/socket"):
        assert path in text


def test_a_mounted_app_and_an_included_router_are_looked_into(
    make_settings: MakeSettings,
) -> None:
    inner = APIRouter()
    inner.get("/inner")(endpoint)
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    assert "GET /outer/inner" in refusal(make_settings, outer)


def test_a_public_router_opens_nothing_that_is_included_into_it(
    make_settings: MakeSettings,
) -> None:
    inner = APIRouter()
    inner.get("/inner")(endpoint)
    outer = APIRouter(route_class=PublicRoute)
    outer.include_router(inner)
    assert "/inner" in refusal(make_settings, outer)


def test_one_door_of_the_route_of_its_router_or_of_a_dependency_is_enough(
    make_settings: MakeSettings,
) -> None:
    async def behind(_: None = Depends(member)) -> None: ...

    router = APIRouter(dependencies=[Depends(member)])
    router.get("/by-router")(endpoint)
    router.websocket("/socket")(websocket_endpoint)
    single = APIRouter()
    single.get("/by-route", dependencies=[Depends(member)])(endpoint)
    single.get("/by-dependency", dependencies=[Depends(behind)])(endpoint)
    public = APIRouter(route_class=PublicRoute)
    public.get("/public")(endpoint)
    app = create_app(make_settings(), [router, single, public])
    assert {"/by-router", "/socket", "/by-route", "/by-dependency", "/public"} <= {
        getattr(route, "path", "") for route in app.routes
    }


def test_a_route_that_is_added_to_a_bare_app_is_seen() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/late")(endpoint)
    with pytest.raises(StartError, match="GET /late"):
        require_doors(app)
