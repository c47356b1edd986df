from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from internal.core.snowflake import EPOCH, first_id_at
from internal.dao.base import BaseDAO
from internal.models.audit_event import AuditEvent

# How far ids may be from the time of their rows: more than any clock, and cheap.
_ID_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AuditEventFilter:
    """Which events: since then and before then, by this action, of this actor; None: any."""

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    actor_id: int | None = None


class AuditEventDAO(BaseDAO[AuditEvent]):
    model = AuditEvent
    sortable = frozenset({"id", "created_at"})
    filterable = frozenset(
        {"actor_kind", "actor_id", "action", "object_type", "object_id", "trace_id"}
    )

    async def after(
        self, event_id: int, wanted: AuditEventFilter, limit: int
    ) -> Sequence[AuditEvent]:
        """The next events, in the order of their ids."""
        statement = (
            select(AuditEvent)
            .where(AuditEvent.id > event_id, *_conditions(wanted))
            .order_by(AuditEvent.id)
            .limit(limit)
        )
        return (await self._session.scalars(statement)).all()


def _conditions(wanted: AuditEventFilter) -> Sequence[ColumnElement[bool]]:
    """Times by the primary key, too: there is no index of them."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        first = first_id_at(max(wanted.since - _ID_MARGIN, EPOCH))
        conditions += [AuditEvent.created_at >= wanted.since, AuditEvent.id >= first]
    if wanted.until is not None:
        beyond = first_id_at(max(wanted.until + _ID_MARGIN, EPOCH))
        conditions += [AuditEvent.created_at < wanted.until, AuditEvent.id < beyond]
    if wanted.action is not None:
        conditions.append(AuditEvent.action == wanted.action)
    if wanted.actor_id is not None:
        conditions.append(AuditEvent.actor_id == wanted.actor_id)
    return conditions
