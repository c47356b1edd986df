"""Runs at times that are the same on every machine; one at a time, and one for all missed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.infra.scheduler import EPOCH, PeriodicJob, Scheduler
from tests.unit.infra.log import Log

pytestmark = pytest.mark.anyio

DEADLINE = 60.0
SECOND = timedelta(seconds=1)


class Runs:
    """What has run, in order; can be waited for."""

    def __init__(self) -> None:
        self.seen: list[datetime] = []
        self._changed = asyncio.Event()

    async def add(self, scheduled_at: datetime) -> None:
        self.seen.append(scheduled_at)
        self._changed.set()

    async def reach(self, count: int) -> None:
        with anyio.fail_after(DEADLINE):
            while len(self.seen) < count:
                self._changed.clear()
                await self._changed.wait()


def every(interval: timedelta, run: Callable[[datetime], Awaitable[None]]) -> PeriodicJob:
    return PeriodicJob("job", interval, run)


@pytest.mark.parametrize(
    ("interval", "now", "scheduled_at"),
    [
        (timedelta(hours=1), "2026-03-29T01:59:59.999999", "2026-03-29T01:00:00"),
        (timedelta(hours=1), "2026-03-29T02:00:00", "2026-03-29T02:00:00"),
        (timedelta(seconds=5), "2026-01-01T00:00:09.5", "2026-01-01T00:00:05"),
        (timedelta(days=1), "2024-02-29T23:59:59", "2024-02-29T00:00:00"),
        (timedelta(weeks=1), "2026-01-01T12:00:00", "2025-12-29T00:00:00"),
    ],
)
async def test_a_run_stands_for_the_last_multiple_of_its_interval_in_utc(
    interval: timedelta, now: str, scheduled_at: str
) -> None:
    job = every(interval, Runs().add)
    found = job.scheduled_at(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(scheduled_at).replace(tzinfo=UTC)


@given(
    microseconds=st.integers(-(10**15), 10**16),
    seconds=st.integers(1, 10**6),
)
def test_every_moment_belongs_to_one_tick(microseconds: int, seconds: int) -> None:
    moment, interval = EPOCH + timedelta(microseconds=microseconds), timedelta(seconds=seconds)
    tick = PeriodicJob("job", interval, Runs.add).scheduled_at(moment)  # type: ignore[arg-type]
    assert tick <= moment < tick + interval
    assert (tick - EPOCH) % interval == timedelta()


async def test_the_first_run_comes_at_once_for_the_time_that_has_just_passed() -> None:
    runs = Runs()
    interval = timedelta(days=1)
    scheduler = Scheduler([every(interval, runs.add)])
    before = datetime.now(UTC)
    scheduler.start()
    await runs.reach(1)
    await scheduler.stop()
    assert runs.seen[0] in {
        moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for moment in (before, datetime.now(UTC))
    }


async def test_runs_come_at_whole_multiples_each_once() -> None:
    runs = Runs()
    scheduler = Scheduler([every(SECOND, runs.add)])
    scheduler.start()
    await runs.reach(4)
    await scheduler.stop()
    assert all(seen.microsecond == 0 for seen in runs.seen)
    # The first run and that of its second may both come: the row of the tick is one.
    ticks = sorted(set(runs.seen))
    assert runs.seen[1:] == ticks[len(ticks) - len(runs.seen) + 1 :]


async def test_runs_that_were_missed_are_one_which_stands_for_the_last() -> None:
    runs = Runs()
    scheduler = Scheduler([every(SECOND, runs.add)])
    scheduler.start()
    await runs.reach(2)
    thawed = datetime.now(UTC) + 3.5 * SECOND
    time.sleep(3.5)  # noqa: ASYNC251 - the whole loop stands still
    before = len(runs.seen)
    await runs.reach(before + 1)
    await scheduler.stop()
    assert runs.seen[before] >= thawed - SECOND


async def test_a_run_that_is_too_late_by_far_is_left_out_and_late_ones_are_one() -> None:
    """APScheduler's own business: what it is told."""
    runs = Runs()
    scheduler = Scheduler([every(SECOND, runs.add)])
    scheduler.start()
    assert scheduler._scheduler is not None
    (job,) = scheduler._scheduler.get_jobs()
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (60, True, 1)
    assert str(scheduler._scheduler.timezone) == "UTC"
    await scheduler.stop()


async def test_a_job_that_still_runs_is_not_started_again() -> None:
    running, most, ended = 0, 0, asyncio.Event()

    async def run(_scheduled_at: datetime) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(2.2)
        running -= 1
        ended.set()

    other = Runs()
    scheduler = Scheduler([every(SECOND, run), PeriodicJob("other", SECOND, other.add)])
    scheduler.start()
    await other.reach(4)  # others are not held up
    with anyio.fail_after(DEADLINE):
        await ended.wait()
    await scheduler.stop()
    assert most == 1


async def test_a_run_that_raises_is_logged_and_the_next_comes(log: Log) -> None:
    runs = Runs()

    async def run(scheduled_at: datetime) -> None:
        await runs.add(scheduled_at)
        raise ValueError("no good")

    scheduler = Scheduler([every(SECOND, run)])
    scheduler.start()
    await runs.reach(2)
    await scheduler.stop()
    assert {(line["level"], line["job"]) for line in log.events} == {("ERROR", "job")}
    assert len(log.events) == len(runs.seen)
    assert "ValueError: no good" in log.events[0]["exception"]


async def test_a_stop_cancels_what_runs_waits_for_its_end_and_is_no_error(log: Log) -> None:
    steps: list[str] = []
    started = asyncio.Event()

    async def run(_scheduled_at: datetime) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    scheduler = Scheduler([every(SECOND, run)])
    scheduler.start()
    await started.wait()
    await asyncio.sleep(1.2)  # APScheduler waits for the first run by now
    await scheduler.stop()
    assert steps == ["cleaned up"]
    await scheduler.stop()
    await asyncio.sleep(1.2)
    assert steps == ["cleaned up"]
    assert [line for line in log.events if line["level"] == "ERROR"] == []


async def test_a_scheduler_can_be_started_again() -> None:
    runs = Runs()
    scheduler = Scheduler([every(timedelta(days=1), runs.add)])
    for count in (1, 2):
        scheduler.start()
        await runs.reach(count)
        await scheduler.stop()
