from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from internal.models.base import Record, binary_string


class Job(Record):
    """Work that outlives its request. This row is the truth; the broker carries only its id."""

    __tablename__ = "jobs"

    kind: Mapped[str] = mapped_column(binary_string(64))
    queue: Mapped[str] = mapped_column(binary_string(32))
    # The user who may see it; null: admins only.
    owner_id: Mapped[int | None]
    trace_id: Mapped[str] = mapped_column(binary_string(32))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(binary_string(16))
    # How many job_events there are: the number of the newest.
    events: Mapped[int]
    # Grows at the claim and is never used twice: what compares equal on it is the same execution.
    attempt: Mapped[int]
    max_attempts: Mapped[int]
    next_run_at: Mapped[datetime]
    # When it was handed to the broker; null while it waits in the outbox or runs.
    dispatched_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(binary_string(64))
    claim_expires_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool]
    finished_at: Mapped[datetime | None]
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    error: Mapped[str | None] = mapped_column(Text())


Index(None, Job.status, Job.dispatched_at)
Index(None, Job.status, Job.claim_expires_at)
Index(None, Job.owner_id, Job.id)
Index(None, Job.finished_at)
