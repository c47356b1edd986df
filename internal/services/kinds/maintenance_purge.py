"""`maintenance.purge`: deletes what nobody will ask for any more."""

from datetime import timedelta

from pydantic import Field

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, Kind

BATCH = 1000
EXPORTS_KEPT = timedelta(days=7)


class Payload(Request):
    keep_days: int = Field(
        default=30, ge=1, le=3650, description="finished jobs are kept this long"
    )


async def run(job: Execution[Payload]) -> dict[str, int]:
    """In batches, each a transaction of its own: deleting twice deletes once."""
    now, jobs = utc_now(), 0
    before = now - timedelta(days=job.payload.keep_days)
    while deleted := await job.services.jobs.purge(OPERATOR, before, BATCH):
        jobs += deleted
    exports = await job.services.exports.purge(OPERATOR, now - EXPORTS_KEPT)
    return {"jobs": jobs, "exports": exports}


KIND = Kind("maintenance.purge", Payload, run)
