"""`/v1/audit-events`: who did what, for admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AdminCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.core.envelope import Envelope, Page
from internal.dao.base import ListQuery
from internal.schemas.audit import AuditEventView
from internal.schemas.fields import Id

router = APIRouter(prefix="/v1/audit-events", tags=["audit"])

type Text64 = Annotated[str | None, Query(max_length=64)]


@router.get("", operation_id="listAuditEvents")
async def list_audit_events(  # noqa: PLR0913, PLR0917 - one argument a query parameter
    caller: AdminCaller,
    resources: ResourcesDep,
    page: PageNumber = 1,
    limit: Limit = 20,
    sort: Literal["id", "-id"] = "-id",
    actor_id: Annotated[Id | None, Query()] = None,
    action: Text64 = None,
    object_type: Text64 = None,
    object_id: Text64 = None,
    trace_id: Text64 = None,
) -> Envelope[Page[AuditEventView]]:
    """One page, the newest first."""
    filters = {
        "actor_id": actor_id,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "trace_id": trace_id,
    }
    query = ListQuery.of(page, limit, sort, filters)
    listing = await resources.services.audit.list(caller, query)
    return Envelope(data=page_of(query, listing, AuditEventView.of))
