"""The periodic jobs of the house, and their leader."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from internal.infra.metrics import Metrics
from internal.infra.tracing import OFF, Tracing
from internal.services.assembly import Services
from internal.services.jobs import states
from internal.services.jobs.backlog import Backlog
from internal.services.kinds import KINDS
from internal.services.leader import Leader
from internal.services.leases import HeldLease, Leases
from internal.services.periodic import Periodic, PeriodicEffect
from internal.services.purge import purge

LEASE = "scheduler"
REAP_EVERY = timedelta(seconds=5)
BACKLOG_EVERY = timedelta(seconds=15)
PURGE_EVERY = timedelta(hours=1)

_log = logger.bind(logger="scheduler")


def periodic_effects(services: Services) -> Sequence[PeriodicEffect]:
    jobs = services.jobs

    async def reap(session: AsyncSession, _scheduled_at: datetime) -> None:
        lost = await states.put_back_lost(session)
        abandoned = await states.put_back_abandoned(session, jobs.policy)
        if lost or abandoned:
            _log.bind(lost=lost, abandoned=abandoned).warning("jobs were put back")

    async def purge_jobs(session: AsyncSession, _scheduled_at: datetime) -> None:
        await jobs.submit_own(session, "maintenance.purge", {})

    return (
        PeriodicEffect("jobs.reap", REAP_EVERY, reap, jobs.committed.set),
        PeriodicEffect("maintenance.purge", PURGE_EVERY, purge_jobs, jobs.committed.set),
        PeriodicEffect("purge", PURGE_EVERY, purge),
    )


def scheduler_leader(
    services: Services, leases: Leases, metrics: Metrics, tracing: Tracing = OFF
) -> Leader:
    backlog = Backlog(metrics, KINDS)
    told = PeriodicEffect("backlog", BACKLOG_EVERY, backlog.tell)
    periodic = Periodic(services.unit_of_work, leases, (*periodic_effects(services), told), tracing)

    @asynccontextmanager
    async def lead(lease: HeldLease, step_down: Callable[[], None]) -> AsyncGenerator[None]:
        try:
            async with periodic.lead(lease, step_down):
                yield
        finally:
            backlog.forget()

    leader = Leader(leases, LEASE, lead)
    metrics.watch("scheduler_is_leader", lambda: int(leader.is_leader))
    return leader
