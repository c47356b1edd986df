import asyncio
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.config.settings import Settings
from internal.controllers import (
    audit,
    auth,
    clients,
    docs,
    exports,
    health,
    internal_api,
    jobs,
    metrics,
    users,
    webhooks,
)
from internal.controllers.doors import require_doors
from internal.controllers.errors import HANDLERS, unexpected
from internal.controllers.openapi import build_document
from internal.controllers.ops import routes as ops
from internal.controllers.ops.errors import RecentErrors
from internal.controllers.route_table import RouteTable
from internal.infra.build import build_info
from internal.infra.line_log import LineLog
from internal.infra.logging import create_line_log
from internal.infra.metrics import Metrics
from internal.infra.metrics_sharing import Sharing
from internal.lifespan import create_lifespan
from internal.middlewares.body_limit import BodyLimitMiddleware
from internal.middlewares.client_address import ClientAddressMiddleware
from internal.middlewares.compression import CompressionMiddleware
from internal.middlewares.cors import CORSMiddleware
from internal.middlewares.errors import ErrorsMiddleware
from internal.middlewares.frame import FrameMiddleware
from internal.middlewares.tracing import TracingMiddleware

# The features. A router added here is served; what every service has comes after them.
ROUTERS: Sequence[APIRouter] = (
    auth.public,
    auth.router,
    users.router,
    clients.router,
    webhooks.router,
    jobs.router,
    exports.router,
    audit.router,
    internal_api.router,
)

ALONE = Sharing()


class Service(FastAPI):
    """FastAPI with middlewares around all its error handling, so that a 500 passes them too."""

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own has four more, for errors, telemetry and large bodies: off, or ours."""
        app: ASGIApp = AsyncExitStackMiddleware(RouteTable(self.router))
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return app

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = build_document(self)
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            receive, send = _until_cancelled(receive), _without_traceback(send)
        await Starlette.__call__(self, scope, receive, send)  # FastAPI's own is its telemetry


def create_app(
    settings: Settings, routers: Sequence[APIRouter] = ROUTERS, *, sharing: Sharing = ALONE
) -> Service:
    """The application of one process. Opens nothing yet: the lifespan does.

    Args:
        sharing: how its figures meet those of the other processes of the same service.

    Raises:
        StartError: a route declares no door.
    """
    counted = Metrics()
    dropped = functools.partial(counted.count, "log_lines_dropped_total")
    lines = create_line_log(settings, count_dropped=dropped)
    app = Service(
        title="Groundwork",
        version=build_info().version,
        openapi_url=None,  # served, with its pages, by controllers/docs.py
        redirect_slashes=False,
        lifespan=create_lifespan(settings, lines, counted, sharing),
        exception_handlers=HANDLERS,
        middleware=_middlewares(settings, lines, counted),
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    if settings.ops_enabled:
        app.state.operations = RecentErrors()
    for router in (*routers, health.router, *_optional_routers(settings)):
        # Not include_router, which matches every request twice: a router's own prefix, tags and
        # dependencies are in its routes already.
        app.router.routes.extend(router.routes)
    require_doors(app)
    return app


def _optional_routers(settings: Settings) -> Iterator[APIRouter]:
    if settings.metrics_enabled and settings.metrics_port is None:
        yield metrics.router
    if settings.ops_enabled:
        yield ops.public
        yield ops.router
    if settings.debug:
        yield docs.router


def _middlewares(settings: Settings, lines: LineLog, counted: Metrics) -> list[Middleware]:
    """Outermost first."""
    access_is_logged = settings.log_level in ("DEBUG", "INFO")
    proxies, origins = settings.trusted_proxies, settings.backend_cors_origins
    return [
        *([Middleware(ClientAddressMiddleware, trusted=proxies)] if proxies else []),
        Middleware(
            FrameMiddleware,
            write=lines.write if access_is_logged else None,
            metrics=counted if settings.metrics_enabled else None,
        ),
        *([Middleware(TracingMiddleware)] if settings.otel_exporter_otlp_endpoint else []),
        *([Middleware(CORSMiddleware, origins=origins)] if origins else []),
        Middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes),
        Middleware(
            ErrorsMiddleware, unexpected=unexpected, seconds=settings.request_timeout_seconds
        ),
        Middleware(CompressionMiddleware),
    ]


def _until_cancelled(receive: Receive) -> Receive:
    """A stop that is forced is a stop: it closes everything too, and is no traceback."""

    async def receive_stop() -> Message:
        try:
            return await receive()
        except asyncio.CancelledError:
            return {"type": "lifespan.shutdown"}

    return receive_stop


def _without_traceback(send: Send) -> Send:
    """A start that failed has logged its one line; Starlette's message is the whole traceback."""

    async def send_quietly(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            message = {"type": "lifespan.startup.failed", "message": ""}
        await send(message)

    return send_quietly
