"""Errors of the operations page are pages; the last unexpected ones of all routes are kept."""

import time
from collections import deque
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from internal.core.context import current_trace_id
from internal.core.errors import ServiceError, Unauthenticated

REMEMBERED = 50
LOGIN = "/ops/login"


@dataclass(frozen=True, slots=True)
class RecentError:
    """Says nothing of what was sent: a type of exception and a route's template."""

    at: float
    trace_id: str
    route: str
    type: str


class RecentErrors(deque[RecentError]):
    """The newest first; the oldest make room."""

    def __init__(self) -> None:
        super().__init__(maxlen=REMEMBERED)


def remember(request: Request, error: Exception) -> None:
    """Keeps an error of ours, where there is a page to see it on."""
    recent: RecentErrors | None = getattr(request.app.state, "operations", None)
    if recent is not None:
        route = request.scope.get("route")
        name = f"{request.method} {route.path_format}" if route else "unmatched"
        recent.appendleft(RecentError(time.time(), current_trace_id(), name, type(error).__name__))


def is_page(path: str) -> bool:
    return path == "/ops" or path.startswith("/ops/")


def error_page(request: Request, error: ServiceError) -> Response:
    """A small page; who is not logged in and only looks is shown the way in."""
    if isinstance(error, Unauthenticated) and request.method in ("GET", "HEAD"):
        return RedirectResponse(LOGIN, 303)
    from internal.controllers.ops.pages import page  # noqa: PLC0415 - Jinja2, when a page is made

    return page(
        request,
        "error.html",
        status=error.status,
        headers=error.headers,
        message=error.message,
        trace_id=current_trace_id(),
    )
