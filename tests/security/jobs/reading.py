"""A reader of server-sent events who gets each piece when it is sent, and reads at their own pace.

Over plain ASGI: what a client library would wait for or hide is to be seen here.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from internal.app import Service
from tests.unit.http.serving import CLIENT

SOON = 20  # seconds; what is asked for comes at once, and a busy machine may take its time


class Reader:
    def __init__(self) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._leaves = asyncio.Event()
        self.reads_on = asyncio.Event()
        self.reads_on.set()
        self.status = 0
        self.headers = httpx.Headers()

    async def run(self, app: Service, path: str, headers: Mapping[str, str]) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
            "client": CLIENT,
            "server": ("service", 80),
            "state": {},
        }
        has_asked = False

        async def receive() -> dict[str, Any]:
            nonlocal has_asked
            if not has_asked:
                has_asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self._messages.put_nowait(message)
            await self.reads_on.wait()

        await app(scope, receive, send)

    async def begin(self) -> None:
        """The start of the reply."""
        message = await self._next()
        self.status, self.headers = message["status"], httpx.Headers(message["headers"])

    async def event(self) -> dict[str, Any]:
        """The next event by its fields, or comment by `""`; empty where the stream has ended."""
        message = await self._next()
        fields: dict[str, Any] = {}
        for line in message["body"].decode().splitlines():
            name, _, value = line.partition(":")
            if line:
                fields[name] = value.strip()
        if "data" in fields:
            fields["data"] = json.loads(fields["data"])
        return fields

    async def rest(self) -> list[dict[str, Any]]:
        """All events up to the end."""
        events = []
        while event := await self.event():
            events.append(event)
        return events

    def leave(self) -> None:
        self._leaves.set()

    async def _next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._messages.get(), SOON)


@asynccontextmanager
async def reading(app: Service, path: str, headers: Mapping[str, str]) -> AsyncGenerator[Reader]:
    reader = Reader()
    task = asyncio.create_task(reader.run(app, path, headers))
    try:
        await reader.begin()
        yield reader
    finally:
        reader.leave()
        reader.reads_on.set()
        await asyncio.wait_for(task, SOON)
