import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.context import current_trace_id

type WriteLine = Callable[[Mapping[str, object]], None]

# What nginx logs for a client that went away before its reply.
CLIENT_CLOSED_REQUEST = 499

_log = logger.bind(logger="http")


class AccessLogMiddleware:
    """One line a request, and the last stop of exceptions that nobody expected.

    The line goes to `write` directly: Loguru's own work a line is three times all of this.
    Lines hold the route's template and never the path or query, which may hold anything.
    """

    def __init__(self, app: ASGIApp, write: WriteLine | None) -> None:
        self._app = app
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, size = CLIENT_CLOSED_REQUEST, 0

        async def send_counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        except Exception:  # noqa: BLE001 - the one place: the reply was made inside, here it is logged
            _log.exception("unhandled exception")
        finally:
            if self._write:
                self._write(_line(scope, status, size, time.perf_counter() - started))


def _line(scope: Scope, status: int, size: int, seconds: float) -> dict[str, object]:
    route = scope.get("route")
    client = scope.get("client")
    return {
        "time": datetime.now(UTC),
        "level": "INFO",
        "message": "request",
        "logger": "access",
        "trace_id": current_trace_id(),
        "method": scope["method"],
        "route": route.path_format if route else "",
        "status": status,
        "ms": round(seconds * 1000, 3),
        "bytes": size,
        "client": client[0] if client else "",
    }
