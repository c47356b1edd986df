"""What was lost comes back: the broker's messages, and the jobs of workers that have died."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.services.jobs import states
from tests.integration.jobs.house import (
    AT_ONCE,
    CANCELLED,
    DEAD,
    LONG_AGO,
    QUEUED,
    RUNNING,
    House,
)

pytestmark = pytest.mark.anyio


async def put_back_abandoned(session: AsyncSession) -> int:
    return await states.put_back_abandoned(session, policy_of)


def policy_of(_kind: str) -> RetryPolicy:
    return AT_ONCE


async def hand_over(house: House, count: int) -> list[int]:
    """Jobs that the broker got long ago, and that nobody has claimed."""
    ids = [(await house.enqueue()).id for _ in range(count)]
    assert await house.dispatcher().dispatch_due() == count
    for job_id in ids:
        await house.set(job_id, dispatched_at=LONG_AGO)
    return ids


async def test_what_the_broker_has_lost_is_handed_over_again(house: House) -> None:
    (job_id,) = await hand_over(house, 1)
    assert await house.write(states.put_back_lost) == 1
    assert await house.outbox() == [job_id]
    await house.make_due(job_id)
    assert await house.dispatcher().dispatch_due() == 1
    assert house.published == [job_id, job_id]
    assert await house.history(job_id) == [(QUEUED, 0)]


async def test_what_was_handed_over_just_now_is_not_lost(house: House) -> None:
    await house.enqueue()
    assert await house.dispatcher().dispatch_due() == 1
    assert await house.write(states.put_back_lost) == 0


async def test_what_waits_in_the_outbox_or_runs_is_not_lost(house: House) -> None:
    await house.enqueue()
    await house.claimed()
    assert await house.write(states.put_back_lost) == 0
    assert await house.write(put_back_abandoned) == 0


async def test_a_job_of_a_dead_worker_gets_another_attempt(house: House) -> None:
    job = await house.claimed()
    await house.abandon(job.id)
    assert await house.write(put_back_abandoned) == 1
    waiting = await house.job(job.id)
    assert (waiting.status, waiting.attempt, waiting.claimed_by) == (QUEUED, 1, None)
    assert waiting.error == "the worker died or was cut off"
    assert await house.write(put_back_abandoned) == 0


async def test_a_job_that_kills_its_worker_every_time_ends_dead(house: House) -> None:
    job = await house.enqueue()
    for attempt in range(1, AT_ONCE.max_attempts + 1):
        await house.make_due(job.id)
        claimed = await house.claim(job.id)
        assert claimed is not None
        assert claimed.attempt == attempt
        await house.abandon(job.id)
        assert await house.write(put_back_abandoned) == 1
    await house.make_due(job.id)
    assert await house.status(job.id) == DEAD
    assert await house.claim(job.id) is None


async def test_a_job_that_was_cancelled_before_its_worker_died_is_cancelled(house: House) -> None:
    job = await house.claimed()
    await house.do(states.cancel, job.id)
    await house.abandon(job.id)
    assert await house.write(put_back_abandoned) == 1
    assert await house.status(job.id) == CANCELLED


async def test_two_at_once_put_each_job_back_once(house: House) -> None:
    lost = await hand_over(house, 20)
    abandoned = [(await house.claimed()).id for _ in range(20)]
    for job_id in abandoned:
        await house.abandon(job_id)
    before = await house.outbox()
    steps = [states.put_back_lost, put_back_abandoned] * 2
    counts = await asyncio.gather(*(house.write(step) for step in steps))
    assert counts[0] + counts[2] == counts[1] + counts[3] == 20
    assert sorted([*before, *lost, *abandoned]) == sorted(await house.outbox())
    for job_id in abandoned:
        assert await house.history(job_id) == [(QUEUED, 0), (RUNNING, 1), (QUEUED, 1)]


async def test_nobody_waits_for_another_who_is_at_it(shared_house: House) -> None:
    house = shared_house
    lost = await hand_over(house, 5)
    abandoned = [(await house.claimed()).id for _ in range(5)]
    for job_id in abandoned:
        await house.abandon(job_id)
    async with house.unit_of_work.begin() as session:
        assert await states.put_back_lost(session) == len(lost)
        assert await put_back_abandoned(session) == len(abandoned)
        async with asyncio.timeout(30):
            assert await house.write(states.put_back_lost) == 0
            assert await house.write(put_back_abandoned) == 0
