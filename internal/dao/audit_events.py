from internal.dao.base import BaseDAO
from internal.models.audit_event import AuditEvent


class AuditEventDAO(BaseDAO[AuditEvent]):
    model = AuditEvent
    sortable = frozenset({"id", "created_at"})
    filterable = frozenset(
        {"actor_kind", "actor_id", "action", "object_type", "object_id", "trace_id"}
    )
