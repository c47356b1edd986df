from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record, binary_string


class AuditEvent(Record):
    """Who did what to which object, when (`created_at`), from where, in which request."""

    __tablename__ = "audit_events"

    actor_kind: Mapped[str] = mapped_column(binary_string(16))
    actor_id: Mapped[int | None] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(binary_string(64))
    object_type: Mapped[str] = mapped_column(binary_string(32))
    object_id: Mapped[str] = mapped_column(binary_string(64))
    address: Mapped[str] = mapped_column(binary_string(64))
    trace_id: Mapped[str] = mapped_column(binary_string(32))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


Index(None, AuditEvent.object_type, AuditEvent.object_id)
