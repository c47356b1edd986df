"""What the leader does every so often. A tick's row and its effect are one transaction."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.scheduler_ticks import SchedulerTickDAO
from internal.infra.scheduler import PeriodicJob, Scheduler
from internal.services.jobs import states
from internal.services.jobs.service import Jobs
from internal.services.leases import HeldLease, Leases
from internal.services.unit_of_work import UnitOfWork

REAP_EVERY = timedelta(seconds=5)
PURGE_EVERY = timedelta(hours=1)

type Effect = Callable[[AsyncSession], Awaitable[None]]

_log = logger.bind(logger="scheduler")


class Periodic:
    """The periodic jobs of the house, for whoever leads."""

    def __init__(self, unit_of_work: UnitOfWork, leases: Leases, jobs: Jobs) -> None:
        self._unit_of_work = unit_of_work
        self._leases = leases
        self._jobs = jobs

    @contextmanager
    def lead(self, lease: HeldLease) -> Generator[None]:
        """Runs them for as long as the block, under the lease."""
        effects = (
            ("jobs.reap", REAP_EVERY, self._reap),
            ("maintenance.purge", PURGE_EVERY, self._purge),
        )
        scheduler = Scheduler(
            [
                PeriodicJob(name, every, self._run(lease, name, effect))
                for name, every, effect in effects
            ]
        )
        scheduler.start()
        try:
            yield
        finally:
            scheduler.stop()

    def _run(
        self, lease: HeldLease, name: str, effect: Effect
    ) -> Callable[[datetime], Awaitable[None]]:
        async def run(scheduled_at: datetime) -> None:
            async with self._unit_of_work.begin() as session:
                # Whoever leads waits here for each other: what is not known now is not doubled.
                await self._leases.require(session, lease)
                ticks = SchedulerTickDAO(session)
                if not await ticks.is_known(name, scheduled_at):
                    await ticks.add(name, scheduled_at, lease.fence)
                    await effect(session)
            self._jobs.committed.set()

        return run

    async def _reap(self, session: AsyncSession) -> None:
        lost = await states.put_back_lost(session)
        abandoned = await states.put_back_abandoned(session, self._jobs.policy)
        if lost or abandoned:
            _log.bind(lost=lost, abandoned=abandoned).warning("jobs were put back")

    async def _purge(self, session: AsyncSession) -> None:
        await self._jobs.submit_own(session, "maintenance.purge", {})
