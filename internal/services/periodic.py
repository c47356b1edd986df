"""What the leader does every so often. A tick's row and its effect are one transaction."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.scheduler_ticks import SchedulerTickDAO
from internal.infra.database import DATABASE_AWAY, is_away
from internal.infra.scheduler import PeriodicJob, Scheduler
from internal.infra.tracing import OFF, Tracing
from internal.services.leases import HeldLease, LeaseLost, Leases
from internal.services.unit_of_work import UnitOfWork

_log = logger.bind(logger="scheduler")


@dataclass(frozen=True, slots=True)
class PeriodicEffect:
    """What happens once for every multiple of an interval, whoever leads.

    Args:
        effect: in the transaction of the tick; gets the time that it stands for. Meanwhile the
            lease's row is locked and cannot be renewed: it must take far less than the lease lasts.
        committed: called after the commit.
    """

    name: str
    every: timedelta
    effect: Callable[[AsyncSession, datetime], Awaitable[None]]
    committed: Callable[[], None] = lambda: None


class Periodic:
    """Runs effects under a lease, see `Leader`."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        leases: Leases,
        effects: Sequence[PeriodicEffect],
        tracing: Tracing = OFF,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._leases = leases
        self._effects = effects
        self._tracing = tracing

    @asynccontextmanager
    async def lead(self, lease: HeldLease, step_down: Callable[[], None]) -> AsyncGenerator[None]:
        """Runs them for as long as the block."""
        scheduler = Scheduler([self._job(effect, lease, step_down) for effect in self._effects])
        scheduler.start()
        try:
            yield
        finally:
            await scheduler.stop()

    def _job(
        self, effect: PeriodicEffect, lease: HeldLease, step_down: Callable[[], None]
    ) -> PeriodicJob:
        async def run(scheduled_at: datetime) -> None:
            try:
                await self.run(effect, lease, scheduled_at)
            except DATABASE_AWAY as error:
                if not is_away(error):
                    raise
                _log.bind(job=effect.name).warning(
                    "not done, the database is away: {}", effect.name
                )
            except LeaseLost:
                _log.bind(job=effect.name, fence=lease.fence).warning("the lease is lost")
                step_down()

        return PeriodicJob(effect.name, effect.every, run)

    async def run(self, effect: PeriodicEffect, lease: HeldLease, scheduled_at: datetime) -> None:
        """The effect of a tick; nothing happens where it has happened already.

        Raises:
            LeaseLost: nothing has happened.
        """
        with self._tracing.tick(effect.name):
            await self._run(effect, lease, scheduled_at)

    async def _run(self, effect: PeriodicEffect, lease: HeldLease, scheduled_at: datetime) -> None:
        async with self._unit_of_work.begin() as session:
            # Whoever leads waits here for each other: what is not known now is not doubled.
            await self._leases.require(session, lease)
            ticks = SchedulerTickDAO(session)
            if await ticks.is_known(effect.name, scheduled_at):
                return
            await ticks.add(effect.name, scheduled_at, lease.fence)
            await effect.effect(session, scheduled_at)
        effect.committed()
