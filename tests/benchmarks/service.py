"""The service as it ships, with routes that are only measured with. `python …`."""

import asyncio
import functools
import time

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from internal import app, server
from internal.config.load_config import load_config
from internal.controllers.doors import PublicRoute, UserCaller
from internal.controllers.once import create_once
from internal.core.envelope import Envelope
from internal.schemas.audit import AuditEventView, NewAuditEvent
from internal.services import audit

public = APIRouter(route_class=PublicRoute)
router = APIRouter()


@public.get("/hello")
async def hello() -> Envelope[dict[str, str]]:
    return Envelope(data={"message": "hello"})


@public.get("/longest-stall")
async def longest_stall(seconds: float) -> Envelope[float]:
    """By how many milliseconds the loop was late at most, within so many seconds."""
    longest, end = 0.0, time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    return Envelope(data=longest * 1000)


@router.post("/audit-events", status_code=201, response_model=Envelope[AuditEventView])
async def report(body: NewAuditEvent, request: Request, caller: UserCaller) -> Response:
    """What `/v1/internal/audit-events` does, for a token instead of a signature."""

    async def work(session: AsyncSession) -> AuditEventView:
        target = (body.object_type, body.object_id)
        return AuditEventView.of(
            await audit.record(session, caller, body.action, target, body.details)
        )

    return await create_once(request, caller, None, work)


if __name__ == "__main__":
    server.create_app = functools.partial(  # type: ignore[attr-defined] # what serve() calls
        app.create_app, routers=(*app.ROUTERS, public, router)
    )
    server.serve(load_config().settings)
