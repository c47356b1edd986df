"""An app with its lifespan in this process: what the tests of the HTTP frame are made with."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import APIRouter
from loguru import logger

from internal.app import Service, create_app
from internal.config.settings import Settings
from internal.controllers.doors import PublicRoute

CLIENT = ("203.0.113.9", 4711)


def public_router() -> APIRouter:
    return APIRouter(route_class=PublicRoute)


@dataclass
class Lines:
    """The log of an app, from what it wrote to the captured stdout."""

    read: Callable[[], bytes]
    _raw: bytes = b""

    @property
    def raw(self) -> bytes:
        flush_lines()
        self._raw += self.read()
        return self._raw

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    @property
    def access(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["logger"] == "access"]

    def at(self, level: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["level"] == level]


@dataclass
class Served:
    app: Service
    http: httpx.AsyncClient


@asynccontextmanager
async def serving(
    settings: Settings, *routers: APIRouter, client: tuple[str, int] = CLIENT
) -> AsyncGenerator[Served]:
    """The app between its start and its stop, and a client of it."""
    app = create_app(settings, routers)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the lines are to be the service's
    transport = httpx.ASGITransport(app=app, client=client)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as http,
        ):
            yield Served(app, http)
    finally:
        forget_logging()


def flush_lines() -> None:
    """Lines are written by a thread, a moment later."""
    for handler in logger._core.handlers.values():  # type: ignore[attr-defined]
        handler._sink._stream._lines.flush()


def forget_logging() -> None:
    """The logging of a process is one; the next test has its own stdout."""
    logger.remove()
    logging.captureWarnings(capture=False)
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


@dataclass
class Exchange:
    """One request as raw ASGI: what no client library would send."""

    method: str = "GET"
    path: str = "/"
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: Iterable[bytes] = ()
    query: bytes = b""
    raw_path: bytes = b""
    leaves: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, app: Service) -> "Exchange":
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.raw_path or self.path.encode("utf-8", "surrogatepass"),
            "query_string": self.query,
            "root_path": "",
            "headers": list(self.headers),
            "client": CLIENT,
            "server": ("service", 80),
            "state": {},
        }
        parts = list(self.body) or [b""]
        messages = [
            {
                "type": "http.request",
                "body": part,
                "more_body": self.leaves or index + 1 < len(parts),
            }
            for index, part in enumerate(parts)
        ]
        if self.leaves:
            messages.append({"type": "http.disconnect"})

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.Event().wait()  # a client that stays for its reply
            return messages.pop(0)

        async def send(message: Any) -> None:
            self.sent.append(message)

        await app(scope, receive, send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def reply_headers(self) -> httpx.Headers:
        return httpx.Headers(self.sent[0]["headers"])

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self.content)
        return envelope
