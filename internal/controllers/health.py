"""Contract: `/livez`, `/readyz`, `/healthz`, `/version`."""

from typing import Any

from fastapi import APIRouter

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import PublicRoute
from internal.controllers.replies import TRACE_ID
from internal.core.envelope import Envelope
from internal.core.errors import DependencyUnavailable
from internal.infra.build import build_info
from internal.schemas.health import Alive, ReadinessReport, Version
from internal.services.health import OK, UNAVAILABLE

router = APIRouter(tags=["health"], route_class=PublicRoute)

_NOT_READY = {
    "code": DependencyUnavailable.code,
    "message": DependencyUnavailable.message.en,
    "data": {"parts": {"database": UNAVAILABLE, "redis": OK, "server": OK}},
    "trace_id": TRACE_ID,
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    DependencyUnavailable.status: {
        "model": Envelope[ReadinessReport],
        "content": {"application/json": {"example": _NOT_READY}},
    }
}


@router.get("/livez", operation_id="livez")
@router.head("/livez", include_in_schema=False)
async def livez() -> Envelope[Alive]:
    """200 while the event loop turns. Touches nothing else: for liveness probes."""
    return Envelope(data=Alive())


@router.get("/readyz", operation_id="readyz", responses=NOT_READY)
@router.head("/readyz", include_in_schema=False)
@router.get("/healthz", operation_id="healthz", responses=NOT_READY)
@router.head("/healthz", include_in_schema=False)
async def readyz(resources: ResourcesDep) -> Envelope[ReadinessReport]:
    """200 when this replica can serve requests: for load balancers and readiness probes."""
    readiness = await resources.health.readiness()
    report = ReadinessReport(parts=dict(readiness.parts))
    if not readiness.ready:
        raise DependencyUnavailable(report.model_dump())
    return Envelope(data=report)


@router.get("/version", operation_id="version")
async def version() -> Envelope[Version]:
    """What is running here."""
    info = build_info()
    return Envelope(data=Version(version=info.version, revision=info.revision, build=info.build))
