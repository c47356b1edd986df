"""Contract: `/livez`, `/readyz`, `/healthz`, `/version`."""

from fastapi import APIRouter

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import PublicRoute
from internal.core.envelope import Envelope
from internal.core.errors import DependencyUnavailable
from internal.infra.build import build_info
from internal.schemas.health import Alive, ReadinessReport, Version

router = APIRouter(tags=["health"], route_class=PublicRoute)


@router.get("/livez", operation_id="livez")
@router.head("/livez", include_in_schema=False)
async def livez() -> Envelope[Alive]:
    """200 while the event loop turns. Touches nothing else: for liveness probes."""
    return Envelope(data=Alive())


@router.get(
    "/readyz",
    operation_id="readyz",
    responses={503: {"model": Envelope[ReadinessReport], "description": "Not ready: see `data`"}},
)
@router.head("/readyz", include_in_schema=False)
@router.get(
    "/healthz", operation_id="healthz", responses={503: {"model": Envelope[ReadinessReport]}}
)
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
