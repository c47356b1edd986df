"""`/v1/internal`: signed requests of other services, contract §5."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.doors import ClientDoor
from internal.controllers.once import IdempotencyKey, create_once
from internal.core.caller import Caller
from internal.core.envelope import Envelope
from internal.schemas.audit import AuditEventView, NewAuditEvent
from internal.schemas.clients import WhoAmI
from internal.services import audit

router = APIRouter(prefix="/v1/internal", tags=["internal"])

type AnyClient = Annotated[Caller, Depends(ClientDoor())]
type AuditWriter = Annotated[Caller, Depends(ClientDoor("audit:write"))]


@router.get("/whoami", operation_id="whoAmI")
async def who_am_i(caller: AnyClient) -> Envelope[WhoAmI]:
    """The client that has signed: the way to try a signature out."""
    return Envelope(data=WhoAmI(client_id=caller.client_id, scopes=sorted(caller.scopes)))


@router.post(
    "/audit-events",
    operation_id="reportAuditEvent",
    status_code=201,
    response_model=Envelope[AuditEventView],
)
async def report_audit_event(
    body: NewAuditEvent,
    request: Request,
    caller: AuditWriter,
    key: IdempotencyKey = None,
) -> Response:
    """Puts what another service has done into the audit log."""

    async def report(session: AsyncSession) -> AuditEventView:
        target = (body.object_type, body.object_id)
        return AuditEventView.of(
            await audit.record(session, caller, body.action, target, body.details)
        )

    return await create_once(request, caller, key, report)
