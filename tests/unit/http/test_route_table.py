import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from internal.app import ROUTERS
from internal.controllers import health
from internal.controllers.route_table import RouteTable

pytestmark = pytest.mark.anyio

ROUTES = [
    route
    for router in (*ROUTERS, health.router)
    for route in router.routes
    if isinstance(route, Route)
]
PATHS = sorted(
    {
        *(route.path for route in ROUTES),
        *("/", "//", "/v1", "/v1/", "/v1/users/", "//v1/users", "/v1/users/1/2/3", "/nothing"),
        *("/v1/nothing/here", "/livez/", "/livez/x", "/v1%2Fusers", "/{user_id}", "/v1/{user_id}"),
    }
)


class Found(Exception):
    """Names the route that would have answered, which is no application here."""


class NamedRoute(Route):
    def __init__(self, path: str, methods: list[str] | None = None) -> None:
        super().__init__(path, self.handle, methods=methods)
        self.asked = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.asked += 1
        return super().matches(scope)

    async def handle(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        raise Found(self.path, sorted(self.methods or ()), scope.get("path_params"))


def create_router(*routes: BaseRoute) -> APIRouter:
    return APIRouter(routes=list(routes), redirect_slashes=False)


async def answer(app: RouteTable | APIRouter, method: str, path: str) -> tuple[object, ...]:
    """Who was found; where nobody was, the statuses of what was said."""
    scope: Scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    said: list[object] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message.get("status"))

    try:
        await app(scope, receive, send)
    except Found as found:
        return found.args
    return tuple(said)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
async def test_the_table_finds_what_the_router_finds(method: str) -> None:
    router = create_router(*(NamedRoute(each.path, list(each.methods or ())) for each in ROUTES))
    table = RouteTable(router)

    found = [await answer(table, method, path) for path in PATHS]

    assert found == [await answer(router, method, path) for path in PATHS]


async def test_only_the_routes_with_the_same_start_are_asked() -> None:
    routes = [NamedRoute(path) for path in ("/v1/a", "/v1/b/{b_id}", "/v1/b", "/v1/c", "/livez")]
    table = RouteTable(create_router(*routes))

    async def asked(path: str) -> list[int]:
        before = [route.asked for route in routes]
        await answer(table, "GET", path)
        return [route.asked - count for route, count in zip(routes, before, strict=True)]

    assert await asked("/v1/b/7") == [0, 1, 0, 0, 0]
    assert await asked("/v1/b/7/8") == [0, 1, 1, 0, 0]
    assert await asked("/v1/b") == [0, 0, 0, 0, 0]


async def test_a_parameter_that_stands_before_a_path_takes_it() -> None:
    router = create_router(
        NamedRoute("/v1/{x}"), NamedRoute("/v1/b", ["POST"]), NamedRoute("/v1/b")
    )
    table = RouteTable(router)

    for method in ("GET", "POST", "PUT", "HEAD"):
        assert await answer(table, method, "/v1/b") == await answer(router, method, "/v1/b")


async def test_no_request_sees_the_path_parameters_of_another() -> None:
    seen: list[dict[str, object]] = []

    class KeepingRoute(NamedRoute):
        async def handle(self, scope: Scope, _receive: Receive, _send: Send) -> None:
            seen.append(scope["path_params"])
            scope["path_params"]["left"] = "behind"

    table = RouteTable(create_router(KeepingRoute("/v1/b")))
    for _ in range(2):
        await answer(table, "GET", "/v1/b")
    assert seen[0] is not seen[1]
    assert seen[1] == {"left": "behind"}


async def test_a_mount_is_found_beside_a_route_that_begins_like_it() -> None:
    mount = Mount("/v1", create_router(NamedRoute("/{x}/{y}")))
    router = create_router(NamedRoute("/v1/b/c"), mount)
    table = RouteTable(router)

    for path in ("/v1/b/c", "/v1/b/d", "/v1/c/d", "/v1"):
        assert await answer(table, "GET", path) == await answer(router, "GET", path)


async def test_routes_whose_start_depends_on_the_request_keep_their_turn() -> None:
    early, exact, late = (NamedRoute(path) for path in ("/{x}/b", "/v1/b", "/v1/{x}"))
    files = Mount("/files", create_router(NamedRoute("/{name}")))
    table = RouteTable(create_router(early, files, exact, late))

    assert (await answer(table, "GET", "/v1/b"))[0] == early.path
    assert (await answer(table, "GET", "/v1/c"))[0] == late.path
    assert (await answer(table, "GET", "/files/a"))[2] == {"name": "a"}
    assert (await answer(table, "POST", "/v1/b"))[0] == early.path
