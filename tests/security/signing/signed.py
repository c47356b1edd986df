"""Signed requests as bytes, made by the contract's words and not by the code under test."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Depends, Request
from sqlalchemy import func, select

from internal.app import Service
from internal.controllers.dependencies import resources_of
from internal.controllers.doors import ClientDoor
from internal.core.caller import OPERATOR
from internal.core.envelope import Envelope
from internal.models.audit_event import AuditEvent
from internal.schemas.clients import NewClient
from tests.unit.http.serving import Exchange

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WHOAMI = b"/v1/internal/whoami"
EVENTS = b"/v1/internal/audit-events"
EVENT = b'{"action":"invoice.cancel","object_type":"invoice","object_id":"2026-0042"}'
JSON = (b"content-type", b"application/json")
BY_NAME = {
    "client_id": b"x-client-id",
    "timestamp": b"x-timestamp",
    "nonce": b"x-nonce",
    "signature": b"x-signature",
}


def echo_router() -> APIRouter:
    """A route behind the signature's door for every method, and for every path below it."""
    router = APIRouter()

    @router.api_route(
        "/v1/internal/echo/{rest:path}", methods=list(METHODS), dependencies=[Depends(ClientDoor())]
    )
    async def echo(request: Request) -> Envelope[str]:
        return Envelope(data=(await request.body()).decode("latin-1"))

    return router


def new_nonce() -> bytes:
    return secrets.token_hex(16).encode()


def now() -> bytes:
    return str(int(time.time())).encode()


@dataclass(frozen=True)
class Signed:
    """A request with its signature. `replace` makes another of it that nobody has signed."""

    client_id: bytes
    timestamp: bytes
    nonce: bytes
    method: bytes
    path: bytes
    query: bytes
    body: bytes
    signature: bytes = b""
    more_headers: tuple[tuple[bytes, bytes], ...] = (JSON,)

    def under(self, secret: bytes) -> Self:
        """The same request, signed."""
        lines = (
            b"GW1-HMAC-SHA256",
            self.client_id,
            self.timestamp,
            self.nonce,
            self.method,
            self.path,
            self.query,
            hashlib.sha256(self.body).hexdigest().encode(),
        )
        signature = hmac.new(secret, b"\n".join(lines), "sha256").hexdigest()
        return replace(self, signature=signature.encode())

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(name, getattr(self, part)) for part, name in BY_NAME.items()]

    async def sent_to(
        self, app: Service, headers: list[tuple[bytes, bytes]] | None = None
    ) -> Exchange:
        """What comes of it; with other headers than its own, if they are given."""
        return await Exchange(
            method=self.method.decode("latin-1"),
            path=unquote_to_bytes(self.path).decode("utf-8", "replace"),
            raw_path=self.path,
            query=self.query,
            headers=[*(self.headers if headers is None else headers), *self.more_headers],
            body=[self.body],
        ).run(app)


@dataclass(frozen=True)
class Client:
    """An API client that the tests know the secret of."""

    client_id: str
    secret: str = field(repr=False)

    def request(self, path: bytes = WHOAMI, **parts: bytes) -> Signed:
        """A signed request: GET and now, unless `parts` say something else."""
        values: dict[str, Any] = {
            "client_id": self.client_id.encode(),
            "timestamp": now(),
            "nonce": new_nonce(),
            "method": b"GET",
            "path": path,
            "query": b"",
            "body": b"",
            **parts,
        }
        return Signed(**values).under(self.secret.encode())

    def event(self, **parts: bytes) -> Signed:
        """A signed request that writes a row."""
        values = {"method": b"POST", "body": EVENT, **parts}
        return self.request(EVENTS, **values)


async def create_client(app: Service, *scopes: str) -> Client:
    services = resources_of(app).services
    async with services.unit_of_work.begin() as session:
        client, secret = await services.clients.create(
            session, OPERATOR, NewClient(name="billing", scopes=list(scopes))
        )
    return Client(client.client_id, secret)


async def rotate(app: Service, client: Client, *, keep_previous: bool = True) -> Client:
    """The client with a new secret."""
    services = resources_of(app).services
    async with services.unit_of_work.begin() as session:
        _, secret = await services.clients.rotate(
            session, OPERATOR, client.client_id, keep_previous=keep_previous
        )
    services.clients.changed(client.client_id)
    return replace(client, secret=secret)


async def count_events(app: Service) -> int:
    """How many events clients have written."""
    statement = select(func.count()).where(AuditEvent.actor_kind == "client")
    async with resources_of(app).unit_of_work.read() as session:
        return await session.scalar(statement) or 0
