"""Contract: `/metrics`."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import PublicRoute
from internal.infra.metrics_text import scrape

router = APIRouter(tags=["health"], route_class=PublicRoute)

_EXAMPLE = 'http_requests_total{method="GET",route="/livez",status="200"} 1.0\n'
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus text, or OpenMetrics with exemplars to whoever accepts that",
        "content": {
            media_type: {"schema": {"type": "string"}, "example": _EXAMPLE}
            for media_type in ("text/plain", "application/openmetrics-text")
        },
    }
}


@router.get("/metrics", operation_id="metrics", responses=RESPONSES, response_class=Response)
@router.head("/metrics", include_in_schema=False)
async def metrics(
    resources: ResourcesDep, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """What this service counts, of all its worker processes: for scrapers."""
    body, media_type = scrape(resources.metrics, accept)
    return Response(body, headers={"content-type": media_type})
