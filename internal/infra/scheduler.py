"""Periodic jobs on APScheduler, at times that are the same on every machine."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loguru import logger

from internal.core.clock import utc_now

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday: so weeks begin on one
MISFIRE_GRACE_SECONDS = 60
# How long a stop waits for runs that it has cancelled.
UNWIND_SECONDS = 2.0

_log = logger.bind(logger="scheduler")


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """What runs every so often.

    Args:
        name: of one job alone; at most 64 characters.
        every: whole seconds.
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
    job to see to. A job that still runs is not started again.
    """

    def __init__(self, jobs: Sequence[PeriodicJob]) -> None:
        self._jobs = jobs
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._scheduler: AsyncIOScheduler | None = None

    def start(self) -> None:
        # Imported by the leader alone: it takes a tenth of a second.
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415

        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "coalesce": True,
                "max_instances": 1,
                "misfire_grace_time": MISFIRE_GRACE_SECONDS,
            },
        )
        for job in self._jobs:
            self._start_run(job)
            seconds = job.every.total_seconds()
            self._scheduler.add_job(
                self._fire, "interval", seconds=seconds, start_date=EPOCH, args=(job,), id=job.name
            )
        self._scheduler.start()

    async def stop(self) -> None:
        """Starts no more runs and waits for those in the middle; cancels what takes too long."""
        if self._scheduler is None:
            return
        self._scheduler.shutdown(wait=False)
        self._scheduler = None
        await asyncio.sleep(0)  # APScheduler shuts down in the loop's next turn
        if self._runs:
            await asyncio.wait(self._runs.values(), timeout=UNWIND_SECONDS)
        for run in self._runs.values():
            run.cancel()
        if self._runs:
            await asyncio.wait(self._runs.values(), timeout=UNWIND_SECONDS)

    async def _fire(self, job: PeriodicJob) -> None:
        """What APScheduler runs: it would log a cancellation as an error with its traceback."""
        with suppress(asyncio.CancelledError):
            await asyncio.wait([self._start_run(job)])

    def _start_run(self, job: PeriodicJob) -> asyncio.Task[None]:
        """The run at hand, or a new one."""
        if job.name not in self._runs:
            run = self._runs[job.name] = asyncio.create_task(_run(job), name=job.name)
            run.add_done_callback(lambda _run: self._runs.pop(job.name))
        return self._runs[job.name]


async def _run(job: PeriodicJob) -> None:
    try:
        await job.run(job.scheduled_at(utc_now()))
    except Exception as error:  # noqa: BLE001 - the next run comes
        _log.bind(job=job.name).opt(exception=error).error("a periodic job failed: {}", job.name)
