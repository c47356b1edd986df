from collections.abc import AsyncGenerator, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import Caller
from internal.core.context import current_trace_id
from internal.dao.audit_events import AuditEventDAO, AuditEventFilter
from internal.dao.base import Listing, ListQuery
from internal.models.audit_event import AuditEvent
from internal.services.authorization import require_admin
from internal.services.unit_of_work import UnitOfWork

WALK_BATCH = 1000


async def record(
    session: AsyncSession,
    caller: Caller,
    action: str,
    target: tuple[str, object],
    details: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Writes who did what to which object, in the transaction of the deed.

    Args:
        action: dotted, from the object to the verb: `user.disable`.
        target: the object's type and id.
        details: what changed, as JSON; no secret.
    """
    kind, object_id = target
    return await AuditEventDAO(session).create(
        AuditEvent(
            actor_kind=caller.kind,
            actor_id=caller.id,
            action=action,
            object_type=kind,
            object_id=str(object_id),
            address=caller.address,
            trace_id=current_trace_id(),
            details=dict(details or {}),
        )
    )


class Audit:
    """Reading the log."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def list(self, caller: Caller, query: ListQuery) -> Listing[AuditEvent]:
        """One page. Raises Forbidden for everybody but admins."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return await AuditEventDAO(session).list(query)

    async def walk(
        self, caller: Caller, wanted: AuditEventFilter
    ) -> AsyncGenerator[Sequence[AuditEvent]]:
        """All that match, the oldest first, in batches that are read when they are asked for.

        Raises Forbidden for everybody but admins.
        """
        require_admin(caller)
        last_id = -1
        while True:
            # A session each: whoever takes long with a batch holds no connection meanwhile.
            async with self._unit_of_work.read() as session:
                events = await AuditEventDAO(session).after(last_id, wanted, WALK_BATCH)
            if not events:
                return
            yield events
            last_id = events[-1].id
