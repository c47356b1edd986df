"""Who may pass. Every route declares one door; an app with a route that has none does not start."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from internal.controllers.dependencies import resources_of
from internal.controllers.limits import count_request, refuse_exhausted
from internal.core.address import counted_as
from internal.core.caller import Caller, anonymous
from internal.core.errors import Forbidden, InvalidSignature, StartError, Unauthenticated
from internal.core.signature import CLIENT_ID, NONCE, SIGNATURE, TIMESTAMP, SignatureHeaders
from internal.services.authorization import require_admin, require_scope

OPERATOR_COOKIE = "__Secure-groundwork-ops"
_SIGNATURE_HEADERS = tuple(
    name.lower().encode() for name in (CLIENT_ID, TIMESTAMP, NONCE, SIGNATURE)
)


class Door(ABC):
    """A dependency that finds out who calls and refuses those who may not pass.

    Failures count against their address, everything else against the caller.
    """

    scheme: ClassVar[str]

    async def __call__(self, request: Request) -> Caller:
        address = address_of(request)
        limits = resources_of(request.app).limits.default
        failures = f"failure:{counted_as(address)}"
        refuse_exhausted(limits, failures)
        try:
            caller = await self._identify(request, address)
        except (Unauthenticated, InvalidSignature):
            limits.hit(failures)
            raise
        count_request(request.scope, limits, caller.key)
        self._admit(caller)
        return caller

    @abstractmethod
    async def _identify(self, request: Request, address: str) -> Caller:
        """Raises Unauthenticated or InvalidSignature."""

    @abstractmethod
    def _admit(self, caller: Caller) -> None:
        """Raises Forbidden where this caller may not pass."""


class UserDoor(Door):
    """Anybody who is logged in."""

    scheme = "bearer"

    def _admit(self, caller: Caller) -> None:
        """A valid token is all that is asked for."""

    async def _identify(self, request: Request, address: str) -> Caller:
        token = _bearer_token(request.scope)
        return await resources_of(request.app).services.sessions.authenticate(token, address)


class AdminDoor(UserDoor):
    def _admit(self, caller: Caller) -> None:
        require_admin(caller)


class ClientDoor(Door):
    """An API client that has signed the request and has the scope, if one is asked for."""

    scheme = "signature"

    def __init__(self, scope: str | None = None) -> None:
        self.scope = scope

    async def _identify(self, request: Request, address: str) -> Caller:
        scope = request.scope
        return await resources_of(request.app).services.signed_requests.authenticate(
            _signature_headers(scope),
            scope["method"].encode(),
            scope["raw_path"],
            scope["query_string"],
            await request.body(),
            address,
        )

    def _admit(self, caller: Caller) -> None:
        if self.scope:
            require_scope(caller, self.scope)


class OperatorDoor(Door):
    """An admin with the cookie of the operations page, asking from a page of ours."""

    scheme = "cookie"

    async def _identify(self, request: Request, address: str) -> Caller:
        require_same_origin(request)
        cookie = request.cookies.get(OPERATOR_COOKIE, "")
        sessions = resources_of(request.app).services.sessions
        return await sessions.authenticate_operator(cookie, address)

    def _admit(self, caller: Caller) -> None:
        require_admin(caller)


def require_same_origin(request: Request) -> None:
    """Refuses what changes something and was not sent by a page of this very host.

    The scheme is not compared: behind a proxy that ends TLS, ours is not the browser's.

    Raises:
        Forbidden: the origin is missing, opaque or another.
    """
    if request.method in ("GET", "HEAD"):
        return
    scheme, _, host = request.headers.get("origin", "").partition("://")
    is_ours = scheme in ("http", "https") and host == request.headers.get("host", "")
    if not is_ours or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Forbidden


user_door = UserDoor()
admin_door = AdminDoor()
operator_door = OperatorDoor()

type UserCaller = Annotated[Caller, Depends(user_door)]
type AdminCaller = Annotated[Caller, Depends(admin_door)]
type OperatorCaller = Annotated[Caller, Depends(operator_door)]


class PublicRoute(APIRoute):
    """The door that anybody passes: `APIRouter(route_class=PublicRoute)`.

    A class of route and no dependency, because it has nothing to do at a request.
    """


class LimitedPublicRoute(PublicRoute):
    """Anybody passes, as often as RATE_LIMIT_DEFAULT allows one address.

    For public routes of features; probes and scrapes are not to be refused. It counts here and not
    in a dependency: FastAPI takes five times as long for one as the counting itself takes.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = counted_as(scope["client"][0] if scope["client"] else "")
        count_request(scope, resources_of(scope["app"]).limits.default, f"address:{address}")
        await super().handle(scope, receive, send)


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


async def get_anonymous(request: Request) -> Caller:
    """The caller of a public route."""
    return anonymous(address_of(request))


type AnonymousCaller = Annotated[Caller, Depends(get_anonymous)]


def door_of(route: BaseRoute) -> Door | None:
    """The door of a route; None of a public one."""
    doors = _doors(getattr(route, "dependant", None))
    return doors[0] if doors else None


def require_doors(app: FastAPI) -> None:
    """Refuses an app with a route that nobody decided about: deny by default.

    Raises:
        StartError: naming every route without a door, or with more than one.
    """
    wrong = [
        f"{', '.join(sorted(route.methods or ()))} {route.path}".strip()
        for route in iter_route_contexts(app.routes)
        if _count_doors(route.original_route) != 1
    ]
    if wrong:
        raise StartError(f"routes: exactly one door must be declared by: {'; '.join(wrong)}")


def _count_doors(route: BaseRoute) -> int:
    return isinstance(route, PublicRoute) + len(_doors(getattr(route, "dependant", None)))


def _doors(dependant: Dependant | None) -> list[Door]:
    """The doors among a route's dependencies; a route without dependencies (a mount) has none."""
    if dependant is None:
        return []
    call: object = dependant.call
    here = [call] if isinstance(call, Door) else []
    return here + [door for below in dependant.dependencies for door in _doors(below)]


def _bearer_token(scope: Scope) -> str:
    """RFC 6750 §2.1. Two Authorization headers are none."""
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        raise Unauthenticated
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    return token


def _signature_headers(scope: Scope) -> SignatureHeaders:
    """Each header once; one that is missing or doubled is empty, which no check accepts."""
    found: dict[bytes, list[bytes]] = {name: [] for name in _SIGNATURE_HEADERS}
    for name, value in scope["headers"]:
        if name in found:
            found[name].append(value)
    return SignatureHeaders(*(values[0] if len(values) == 1 else b"" for values in found.values()))
