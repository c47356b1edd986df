"""`maintenance.purge`: what ended long ago goes, with its events; what has not ended stays."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.models.job_event import JobEvent
from internal.services.jobs import states
from internal.services.kinds import maintenance_purge
from tests.integration.jobs.house import DEAD, LONG_AGO, QUEUED, RUNNING, SUCCEEDED, House

pytestmark = pytest.mark.anyio


async def ended(house: House, **values: Any) -> int:
    job = await house.claimed()
    await house.write(partial(states.succeed, job=job, result=None))
    await house.set(job.id, **values)
    return job.id


async def purge(house: House, **payload: object) -> Any:
    job = await house.execute("maintenance.purge", house.services(), **payload)
    assert job.status == SUCCEEDED
    return job.result["jobs"]


async def is_there(house: House, job_id: int) -> bool:
    async with house.unit_of_work.read() as session:
        events = await session.scalar(
            select(func.count()).select_from(JobEvent).where(JobEvent.job_id == job_id)
        )
    return bool(events)


async def test_jobs_that_ended_long_ago_go_with_their_events(house: House) -> None:
    old = await ended(house, finished_at=LONG_AGO)
    recent = await ended(house, finished_at=utc_now() - timedelta(days=29))
    assert await purge(house) == 1
    assert [await is_there(house, job_id) for job_id in (old, recent)] == [False, True]
    assert await purge(house) == 0


async def test_how_long_they_are_kept_can_be_said(house: House) -> None:
    yesterday = await ended(house, finished_at=utc_now() - timedelta(days=2))
    assert await purge(house, keep_days=1) == 1
    assert not await is_there(house, yesterday)


async def test_what_waits_or_runs_stays_however_old_it_is(house: House) -> None:
    waiting = await house.enqueue(next_run_at=LONG_AGO)
    running = await house.claimed(next_run_at=LONG_AGO)
    assert await purge(house) == 0
    assert await house.status(waiting.id) == QUEUED
    assert await house.status(running.id) == RUNNING


async def test_dead_jobs_stay_until_somebody_has_decided_about_them(house: House) -> None:
    dead = await ended(house, finished_at=LONG_AGO, status=DEAD)
    assert await purge(house) == 0
    assert await house.services().jobs.purge(OPERATOR, utc_now(), include_dead=True) > 0
    assert not await is_there(house, dead)


async def test_more_than_a_batch_goes_in_one_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_purge, "BATCH", 2)
    for _ in range(5):
        await ended(house, finished_at=LONG_AGO)
    assert await purge(house) == 5
