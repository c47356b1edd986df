from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.context import parse_traceparent
from internal.infra.tracing import failed

if TYPE_CHECKING:
    from internal.services.resources import Resources

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
FIRST_SERVER_ERROR = 500
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


class TracingMiddleware:
    """A span of each request: its method, its route's template, its status; nothing of its content.

    Probes have none: they come every few seconds, and would be most of all traces.

    FastAPI's own telemetry could not be made to do that: its span begins outside of every
    middleware, before the trace id is known, has the path, the query and the host, and asks
    propagators and loggers that are of the whole process.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        resources: Resources = scope["app"].state.resources
        status = 0

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        with resources.tracing.request(method, parse_traceparent(_traceparent(scope))) as span:
            try:
                await self._app(scope, receive, send_watched)
            finally:
                if route := scope.get("route"):
                    span.update_name(f"{method} {route.path_format}")
                    span.set_attribute("http.route", route.path_format)
                if status:
                    span.set_attribute("http.response.status_code", status)
                if status >= FIRST_SERVER_ERROR:
                    failed(span, str(status))


def _traceparent(scope: Scope) -> str:
    for name, value in reversed(scope["headers"]):
        if name == b"traceparent":
            given: str = value.decode("latin-1")
            return given
    return ""
