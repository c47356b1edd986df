"""Finding a route without asking every other route first."""

from itertools import product

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

# As many as tell features apart: `/v1/users/{user_id}` is found under `/v1/users`.
SEGMENTS = 2


class RouteTable:
    """Paths without parameters, and a router for each start of the others, in dictionaries.

    Starlette's router matches the regular expression of one route after the other: behind thirty
    of them a request waits as long as everything else around it takes. In the table it waits for
    none, or for those of its own feature. What a router does beyond that stays FastAPI's.

    Args:
        router: its routes, in their order; it answers what no route is for.
    """

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._all = router.app
        starts = {start for route in router.routes if (start := _literal_start(route))}
        self._by_path = {
            key: found
            for route in router.routes
            if isinstance(route, Route)
            for key in product(route.methods or (), [route.path])
            if (found := _literal_match(router, *key))
        }
        self._by_start = {start: _router_of(router, start).app for start in starts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        find = self._all
        if scope["type"] == "http" and not scope["root_path"]:
            scope["router"] = self._router
            if found := self._by_path.get((scope["method"], scope["path"])):
                route, child_scope = found
                scope.update(child_scope, path_params={})
                await route.handle(scope, receive, send)
                return
            find = self._by_start.get(_start(scope["path"]), self._all)
        await find(scope, receive, send)


def _literal_match(router: APIRouter, method: str, path: str) -> tuple[BaseRoute, Scope] | None:
    """The route that the router would find, with what it would add to the scope.

    None where that is one with parameters, which another path may match as well.
    """
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    for route in router.routes:
        match, child_scope = route.matches(scope)
        if match is Match.FULL:
            is_literal = isinstance(route, Route) and not child_scope["path_params"]
            return (route, child_scope) if is_literal else None
    return None


def _router_of(router: APIRouter, start: str) -> APIRouter:
    """One with the routes that a path with this start may be for."""
    routes = [route for route in router.routes if _literal_start(route) in (start, None)]
    return APIRouter(routes=routes, redirect_slashes=False)


def _literal_start(route: BaseRoute) -> str | None:
    """None where the start depends on the request."""
    if not isinstance(route, Route):  # a mount, or routers in a router: no route of one path
        return None
    start = _start(route.path)
    return None if "{" in start else start


def _start(path: str) -> str:
    segments = path.split("/", SEGMENTS + 1)
    return "/".join(segments[: SEGMENTS + 1])
