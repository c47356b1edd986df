import asyncio
import time
from collections.abc import Callable

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.context import incoming_trace_id, set_trace_id
from internal.core.errors import CLIENT_CLOSED_REQUEST, DependencyUnavailable
from internal.core.reply_headers import reply_headers
from internal.infra.metrics import Metrics
from internal.middlewares.access_log import Access
from internal.middlewares.reply import send_error
from internal.middlewares.security_headers import secured

type WriteAccess = Callable[[Access], None]

_log = logger.bind(logger="http")


class FrameMiddleware:
    """What every request has: a trace id, security headers, one line of log, a caught exception.

    One middleware and not one for each, because every wrapper around `send` costs as much as what
    they do: this is the outermost, on every reply, errors included.

    Args:
        write: takes the access log's events, without a detour through Loguru, whose work for one
            is three times that of this whole class; None: no access log.
        metrics: counts requests; None: nobody does.
    """

    def __init__(self, app: ASGIApp, write: WriteAccess | None, metrics: Metrics | None) -> None:
        self._app = app
        self._write = write
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, size = CLIENT_CLOSED_REQUEST, 0
        trace_id = _trace_id(scope)
        set_trace_id(trace_id)
        if self._metrics:
            self._metrics.in_flight += 1

        async def send_framed(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = secured(message.get("headers", ()))
                message["headers"].append((b"x-trace-id", trace_id.encode()))
                message["headers"] += reply_headers(scope)
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_framed)
        except asyncio.CancelledError:
            # The grace of a stop is over. Nobody but the server awaits this task, and it would
            # answer in plain text and log a traceback.
            if status == CLIENT_CLOSED_REQUEST:
                stopping = DependencyUnavailable(headers={"connection": "close"})
                await send_error(scope, send_framed, stopping)
        except Exception:  # noqa: BLE001 - the one place: the reply was made inside, here it is logged
            _log.exception("unhandled exception")
        finally:
            self._end(scope, trace_id, status, size, time.perf_counter() - started)

    def _end(self, scope: Scope, trace_id: str, status: int, size: int, seconds: float) -> None:
        method, route, client = scope["method"], scope.get("route"), scope["client"]
        template = route.path_format if route else None
        if self._metrics:
            self._metrics.in_flight -= 1
            self._metrics.observe_request(method, template, status, seconds, trace_id)
        if self._write:
            now, address = time.time(), client[0] if client else ""
            self._write(
                Access(now, trace_id, method, template or "", status, seconds, size, address)
            )


def _trace_id(scope: Scope) -> str:
    x_trace_id = traceparent = None
    for name, value in scope["headers"]:
        if name == b"x-trace-id":
            x_trace_id = value.decode("latin-1")
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
    return incoming_trace_id(x_trace_id, traceparent)
