from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.config.settings import Settings
from internal.controllers import docs, health
from internal.controllers.dependencies import require_doors
from internal.controllers.errors import install_error_handlers
from internal.infra.build import build_info
from internal.infra.logging import LineLog, create_line_log
from internal.lifespan import create_lifespan
from internal.middlewares.access_log import AccessLogMiddleware
from internal.middlewares.body_limit import DeclaredBodyLimitMiddleware
from internal.middlewares.client_address import ClientAddressMiddleware
from internal.middlewares.cors import CORSMiddleware
from internal.middlewares.security_headers import SecurityHeadersMiddleware
from internal.middlewares.timeout import TimeoutMiddleware
from internal.middlewares.trace_id import TraceIdMiddleware

ROUTERS = (health.router,)
GZIP_MINIMUM_BYTES = 1024


class Service(FastAPI):
    """FastAPI with middlewares around its own error handling, so that a 500 passes them too."""

    outer: Sequence[Middleware] = ()

    def build_middleware_stack(self) -> ASGIApp:
        app = super().build_middleware_stack()
        for cls, args, kwargs in reversed(self.outer):
            app = cls(app, *args, **kwargs)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, _without_traceback(send))
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, routers: Sequence[APIRouter] = ROUTERS) -> Service:
    """The application of one process. Opens nothing yet: the lifespan does.

    Raises:
        StartError: a route declares no door.
    """
    lines = create_line_log(settings)
    app = Service(
        title="Groundwork",
        version=build_info().version,
        openapi_url=None,  # served, with its pages, by controllers/docs.py
        redirect_slashes=False,
        lifespan=create_lifespan(settings, lines),
        max_body_size=settings.max_body_bytes,
        telemetry={"auto_configure": False},
    )
    app.outer = _outer_middlewares(settings, lines)
    app.add_middleware(TimeoutMiddleware, seconds=settings.request_timeout_seconds)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_MINIMUM_BYTES)
    install_error_handlers(app)
    for router in (*routers, *((docs.router,) if settings.debug else ())):
        app.include_router(router)
    require_doors(app)
    return app


def _outer_middlewares(settings: Settings, lines: LineLog) -> list[Middleware]:
    """Outermost first. Trace id, log line, security headers and CORS are on every reply."""
    access_is_logged = settings.log_level in ("DEBUG", "INFO")
    proxies, origins = settings.trusted_proxies, settings.backend_cors_origins
    return [
        *([Middleware(ClientAddressMiddleware, trusted=proxies)] if proxies else []),
        Middleware(TraceIdMiddleware),
        Middleware(AccessLogMiddleware, write=lines.write if access_is_logged else None),
        Middleware(SecurityHeadersMiddleware),
        *([Middleware(CORSMiddleware, origins=origins)] if origins else []),
        Middleware(DeclaredBodyLimitMiddleware, max_bytes=settings.max_body_bytes),
    ]


def _without_traceback(send: Send) -> Send:
    """A start that failed has logged its one line; Starlette's message is the whole traceback."""

    async def send_quietly(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            message = {"type": "lifespan.startup.failed", "message": ""}
        await send(message)

    return send_quietly
