"""`audit.export`: the audit log, or a part of it, as a CSV file."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.core.snowflake import EPOCH
from internal.dao.audit_events import AuditEventFilter
from internal.models.audit_event import AuditEvent
from internal.schemas.audit import Action
from internal.schemas.fields import Id
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, Kind, TryAgain

COLUMNS = (
    *("id", "created_at", "actor_kind", "actor_id", "action", "object_type", "object_id"),
    *("address", "trace_id", "details"),
)
# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection; NUL: ASVS 5.0, 1.2.10).
# The full-width forms do where Chinese or Japanese is written.
_FORMULA = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
_TIME = "2026-01-02T00:00:00Z"


class Payload(Request):
    since: AwareDatetime | None = Field(
        default=None, description="events from then on", examples=[_TIME]
    )
    until: AwareDatetime | None = Field(
        default=None, description="events before then; if unset: before now", examples=[_TIME]
    )
    action: Action | None = None
    actor_id: Id | None = None


async def run(job: Execution[Payload]) -> dict[str, object]:
    """Row by row, a batch in memory, into a file of this attempt's own."""
    now = utc_now()
    wanted = AuditEventFilter(
        since=_within(job.payload.since or EPOCH, now),
        # Without an end, a log that grows as fast as it is read would have none.
        until=_within(job.payload.until or now, now),
        action=job.payload.action,
        actor_id=job.payload.actor_id,
    )
    rows = 0
    try:
        async with job.services.exports.create(job.job_id, job.attempt) as file:
            await file.write(_lines([COLUMNS]))
            async for events in job.services.audit.walk(OPERATOR, wanted):
                await file.write(_lines([_cells(event) for event in events]))
                rows += len(events)
    except OSError as error:
        raise TryAgain(f"EXPORT_DIR cannot be written: {error.strerror}") from error
    return {"rows": rows, "bytes": file.bytes, "sha256": file.sha256}


def _within(moment: datetime, now: datetime) -> datetime:
    """Nothing has happened before the first id, or after now."""
    return min(max(moment, EPOCH), now)


def _cells(event: AuditEvent) -> Sequence[str]:
    return [_text(getattr(event, column)) for column in COLUMNS]


def _text(value: object) -> str:
    """A cell; one that a spreadsheet would calculate gets an apostrophe before it."""
    if isinstance(value, dict):
        # In one order: MySQL keeps keys by their length, MariaDB as they came.
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    elif isinstance(value, datetime):
        text = value.isoformat()
    else:
        text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    """RFC 4180; every cell in quotes, so that no other separator splits one."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode(errors="replace")


KIND = Kind("audit.export", Payload, run, timeout=timedelta(minutes=30))
