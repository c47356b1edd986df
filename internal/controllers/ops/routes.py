"""`/ops`: a page for operators, with a login of its own. HTML, no script, no part of the API."""

import os
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import (
    OPERATOR_COOKIE,
    AnonymousCaller,
    LimitedPublicRoute,
    OperatorCaller,
    require_same_origin,
)
from internal.controllers.limits import AuthLimit
from internal.controllers.ops.assets import AssetName, content_of, digest_of
from internal.controllers.ops.errors import LOGIN
from internal.controllers.paths import IdPath
from internal.core.errors import BadRequest, NotFound, ServiceError, UnsupportedMediaType
from internal.infra.build import build_info
from internal.infra.history import HISTORY_SHARED_BY, SAMPLES
from internal.schemas.auth import Credentials
from internal.services.accounts import WrongCredentials
from internal.services.operations import overview
from internal.services.resources import Resources
from internal.services.sessions import OPERATOR_HOURS

public = APIRouter(prefix="/ops", include_in_schema=False, route_class=LimitedPublicRoute)
router = APIRouter(prefix="/ops", include_in_schema=False)

SLOWEST = 10
FORM = "application/x-www-form-urlencoded"
_MEDIA_TYPES = {"css": "text/css", "svg": "image/svg+xml"}


@public.get("/login")
@public.head("/login")
async def login_form(request: Request) -> Response:
    return _login_page(request)


@public.post("/login", dependencies=[AuthLimit])
async def login(request: Request, caller: AnonymousCaller, resources: ResourcesDep) -> Response:
    require_same_origin(request)
    try:
        credentials = await _credentials(request)
        cookie = await resources.services.accounts.login_operator(caller, credentials)
    except WrongCredentials as error:
        return _login_page(request, error)
    reply = RedirectResponse("/ops", 303)
    _set_cookie(reply, cookie, OPERATOR_HOURS * 3600)
    return reply


@public.get("/assets/{digest}/{name}")
@public.head("/assets/{digest}/{name}")
async def asset(digest: str, name: AssetName) -> Response:
    if digest != digest_of(name):
        raise NotFound
    return Response(
        content_of(name),
        media_type=_MEDIA_TYPES[name.rpartition(".")[2]],
        headers={"cache-control": "public, max-age=31536000, immutable"},
    )


@router.get("")
@router.head("")
async def operations(
    request: Request,
    caller: OperatorCaller,
    resources: ResourcesDep,
    refresh: Annotated[int | None, Query(ge=5, le=3600)] = None,
) -> Response:
    from internal.controllers.ops.pages import page  # noqa: PLC0415 - see there

    readiness = await resources.health.readiness()
    settings = resources.settings
    return page(
        request,
        "operations.html",
        refresh=refresh,
        build=build_info(),
        pid=os.getpid(),
        workers=settings.workers,
        shared=settings.metrics_enabled and settings.workers <= HISTORY_SHARED_BY,
        counted=settings.metrics_enabled,
        parts=readiness.parts,
        pools=_pools(resources),
        seen=await overview(resources.unit_of_work, caller),
        errors=request.app.state.operations,
        **_traffic(resources),
    )


@router.post("/jobs/{job_id}/retry")
async def retry(job_id: IdPath, caller: OperatorCaller, resources: ResourcesDep) -> Response:
    await resources.services.jobs.retry(caller, job_id)
    return RedirectResponse("/ops", 303)


@router.post("/logout")
async def logout(caller: OperatorCaller, resources: ResourcesDep) -> Response:
    await resources.services.sessions.end(caller)
    reply = RedirectResponse(LOGIN, 303)
    _set_cookie(reply, "", 0)
    return reply


def _login_page(request: Request, error: ServiceError | None = None) -> Response:
    from internal.controllers.ops.pages import page  # noqa: PLC0415 - see there

    message = error.message if error else None
    return page(request, "login.html", status=error.status if error else 200, message=message)


async def _credentials(request: Request) -> Credentials:
    """Raises WrongCredentials, too, where it could be nobody's."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise UnsupportedMediaType
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=2)
    except ValueError:
        raise BadRequest from None
    try:
        return Credentials.model_validate({name: value[0] for name, value in fields.items()})
    except ValidationError:
        raise WrongCredentials from None


def _set_cookie(reply: Response, value: str, seconds: int) -> None:
    reply.set_cookie(
        OPERATOR_COOKIE,
        value,
        max_age=seconds,
        path="/ops",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def _pools(resources: Resources) -> list[tuple[str, int, int]]:
    """(name, connections in use, how many there may be) of this process."""
    settings = resources.settings
    database: Any = resources.database.pool
    redis: Any = resources.redis.connection_pool
    in_use = len(getattr(redis, "_in_use_connections", ()))
    return [
        ("database", database.checkedout(), settings.db_pool_size + settings.db_max_overflow),
        ("redis", in_use, settings.redis_pool_size),
    ]


def _traffic(resources: Resources) -> dict[str, Any]:
    history = resources.history
    intervals = history.intervals if history else ()
    waits = [interval.quantile(0.95) for interval in intervals]
    return {
        "rate": _plot([interval.rate for interval in intervals]),
        "latency": _plot([None if wait is None else wait * 1000 for wait in waits]),
        "slowest": history.slowest(SLOWEST) if history else [],
    }


def _plot(values: Sequence[float | None]) -> dict[str, object]:
    from internal.controllers.ops.pages import points  # noqa: PLC0415 - see there

    known = [value for value in values if value is not None]
    return {
        "lines": points(values, SAMPLES),
        "newest": f"{known[-1]:.1f}" if known else "–",
        "highest": f"{max(known):.1f}" if known else "–",
    }
