"""Periodic jobs on APScheduler, at times that are the same on every machine."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
MISFIRE_GRACE_SECONDS = 60

_log = logger.bind(logger="scheduler")


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """What runs every so often.

    Args:
        run: gets the time that the run stands for: the last multiple of `every`. Runs that were
            missed are one.
    """

    name: str
    every: timedelta
    run: Callable[[datetime], Awaitable[None]]

    def scheduled_at(self, now: datetime) -> datetime:
        return EPOCH + (now - EPOCH) // self.every * self.every


class Scheduler:
    """Runs jobs from `start` to `stop`, each at once and then at the multiples of its interval.

    The first run makes a new leader work at once; that it is not the second of its time is for the
    job to see to.
    """

    def __init__(self, jobs: Sequence[PeriodicJob]) -> None:
        self._jobs = jobs
        self._scheduler: AsyncIOScheduler | None = None

    def start(self) -> None:
        # Imported by the leader alone: it takes a tenth of a second.
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415

        self._scheduler = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs:
            options = {
                "args": (job,),
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": MISFIRE_GRACE_SECONDS,
            }
            self._scheduler.add_job(_run, **options)
            seconds = job.every.total_seconds()
            self._scheduler.add_job(_run, "interval", seconds=seconds, start_date=EPOCH, **options)
        self._scheduler.start()

    def stop(self) -> None:
        """Ends at once; runs in the middle are cancelled."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None


async def _run(job: PeriodicJob) -> None:
    try:
        await job.run(job.scheduled_at(datetime.now(UTC)))
    except Exception as error:  # noqa: BLE001 - the next run comes
        reason = str(error).partition("\n")[0]
        _log.bind(job=job.name).error("{}: {}: {}", job.name, type(error).__name__, reason)
