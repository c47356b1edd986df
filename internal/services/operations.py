"""What an operator looks at: queues, dead jobs, and who leads."""

from collections.abc import Sequence
from dataclasses import dataclass

from internal.core.caller import Caller
from internal.core.job_status import JobStatus
from internal.dao.base import ListQuery
from internal.dao.jobs import JobDAO
from internal.dao.leases import LeaseDAO
from internal.dao.outbox_entries import OutboxEntryDAO
from internal.models.job import Job
from internal.services.authorization import require_admin
from internal.services.scheduling import LEASE
from internal.services.unit_of_work import UnitOfWork

DEAD_SHOWN = 50


@dataclass(frozen=True)
class Overview:
    """Args: queues: (queue, status, jobs). leader: whoever holds the scheduler's lease."""

    queues: Sequence[tuple[str, str, int]]
    outbox_lag_seconds: float
    dead: Sequence[Job]
    dead_total: int
    leader: str | None


async def overview(unit_of_work: UnitOfWork, caller: Caller) -> Overview:
    """Raises Forbidden for everybody but admins."""
    require_admin(caller)
    dead = ListQuery.of(1, DEAD_SHOWN, "-id", {"status": JobStatus.DEAD})
    async with unit_of_work.read() as session:
        queues = await JobDAO(session).counts_by_queue()
        lag = await OutboxEntryDAO(session).lag_seconds()
        listing = await JobDAO(session).list(dead)
        leader = await LeaseDAO(session).holder(LEASE)
    return Overview(queues, lag, listing.rows, listing.total, leader)
