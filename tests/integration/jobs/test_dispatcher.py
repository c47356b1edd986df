"""The outbox: what is due is handed over, by whichever replica, and nothing is forgotten."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from internal.core.clock import utc_now
from internal.infra.background import running
from internal.services.jobs import dispatcher as dispatching
from internal.services.jobs import states
from internal.services.jobs.dispatcher import BATCH, Dispatcher
from tests.integration.jobs.house import (
    AT_ONCE,
    CANCELLED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    House,
    complete_with_effect,
)

pytestmark = pytest.mark.anyio


class BrokerAway(Exception):
    pass


async def test_what_is_due_is_handed_over_once(house: House) -> None:
    job = await house.enqueue()
    dispatcher = house.dispatcher()
    assert [await dispatcher.dispatch_due() for _ in range(2)] == [1, 0]
    assert house.published == [job.id]
    assert (await house.job(job.id)).dispatched_at is not None
    assert await house.history(job.id) == [(QUEUED, 0)]


async def test_what_is_not_due_is_not_handed_over(house: House) -> None:
    await house.enqueue(next_run_at=utc_now() + timedelta(hours=1))
    assert await house.dispatcher().dispatch_due() == 0
    assert house.published == []


async def test_the_oldest_go_first_and_the_rest_in_the_next_batch(house: House) -> None:
    start = utc_now() - timedelta(hours=1)
    ids = [
        (await house.enqueue(next_run_at=start - timedelta(seconds=number))).id
        for number in range(BATCH + 5)
    ]
    dispatcher = house.dispatcher()
    assert [await dispatcher.dispatch_due() for _ in range(3)] == [BATCH, 5, 0]
    assert house.published == ids[::-1]


async def test_what_the_broker_does_not_take_stays(house: House) -> None:
    async def refuse(_jobs: Sequence[tuple[int, str]]) -> None:
        raise BrokerAway

    job = await house.enqueue()
    with pytest.raises(BrokerAway):
        await Dispatcher(house.unit_of_work, refuse, asyncio.Event()).dispatch_due()
    assert await house.outbox() == [job.id]
    assert (await house.job(job.id)).dispatched_at is None


@pytest.mark.parametrize("death", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_death_before_the_commit_hands_over_twice_and_executes_once(
    house: House, death: type[BaseException]
) -> None:
    async def publish_and_die(jobs: Sequence[tuple[int, str]]) -> None:
        await house.publish(jobs)
        raise death

    job = await house.enqueue()
    with pytest.raises(death):
        await Dispatcher(house.unit_of_work, publish_and_die, asyncio.Event()).dispatch_due()
    assert await house.dispatcher().dispatch_due() == 1
    assert house.published == [job.id, job.id]
    runner = house.runner(complete_with_effect)
    outcomes = await asyncio.gather(*(runner.run(job_id) for job_id in house.published))
    assert sorted(outcomes, key=str) == [None, SUCCEEDED]
    assert await house.effects() == 1


async def test_several_dispatchers_hand_over_each_job_once(house: House) -> None:
    ids = [(await house.enqueue()).id for _ in range(2 * BATCH)]
    dispatchers = [house.dispatcher() for _ in range(4)]
    counts = await asyncio.gather(*(one.dispatch_due() for one in dispatchers))
    while await dispatchers[0].dispatch_due():
        pass
    assert sum(counts) <= 2 * BATCH
    assert sorted(house.published) == sorted(ids)


async def test_two_dispatchers_share_the_work_without_waiting_for_each_other(
    shared_house: House,
) -> None:
    house = shared_house
    both = asyncio.Barrier(2)

    async def publish_together(jobs: Sequence[tuple[int, str]]) -> None:
        await both.wait()  # until the other has a batch of its own
        await house.publish(jobs)

    ids = [(await house.enqueue()).id for _ in range(BATCH + 10)]
    one, other = (Dispatcher(house.unit_of_work, publish_together, asyncio.Event()) for _ in "12")
    async with asyncio.timeout(60):
        counts = await asyncio.gather(one.dispatch_due(), other.dispatch_due())
    assert sorted(counts) == [10, BATCH]
    assert sorted(house.published) == sorted(ids)


async def test_a_job_that_is_claimed_before_the_commit_of_its_handover_keeps_its_claim(
    shared_house: House,
) -> None:
    house = shared_house

    async def publish_to_a_quick_worker(jobs: Sequence[tuple[int, str]]) -> None:
        for job_id, _ in jobs:
            assert await house.claim(job_id) is not None

    job = await house.enqueue()
    dispatcher = Dispatcher(house.unit_of_work, publish_to_a_quick_worker, asyncio.Event())
    assert await dispatcher.dispatch_due() == 1
    held = await house.job(job.id)
    assert (held.status, held.dispatched_at) == (RUNNING, None)


async def test_a_job_that_fails_before_the_commit_of_its_handover_has_its_rest(
    shared_house: House,
) -> None:
    house = shared_house
    failure = states.Failure("busy", rest=timedelta(hours=1))

    async def publish_to_a_quick_worker(jobs: Sequence[tuple[int, str]]) -> None:
        for job_id, _ in jobs:
            job = await house.claim(job_id)
            assert job is not None
            async with house.unit_of_work.begin() as session:
                await states.fail(session, job, failure, AT_ONCE)

    job = await house.enqueue()
    dispatcher = Dispatcher(house.unit_of_work, publish_to_a_quick_worker, asyncio.Event())
    assert await dispatcher.dispatch_due() == 1
    resting = await house.job(job.id)
    # With a time of handover, the reaper would take it for lost a minute later.
    assert (resting.status, resting.dispatched_at) == (QUEUED, None)
    assert await house.outbox() == [job.id]


async def test_a_cancel_does_not_wait_for_the_broker(shared_house: House) -> None:
    house = shared_house
    published, cancelled = asyncio.Event(), asyncio.Event()

    async def publish(_jobs: Sequence[tuple[int, str]]) -> None:
        published.set()
        await cancelled.wait()

    job = await house.enqueue()
    dispatcher = Dispatcher(house.unit_of_work, publish, asyncio.Event())
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        dispatching_one = group.create_task(dispatcher.dispatch_due())
        await published.wait()
        assert await house.do(states.cancel, job.id)
        cancelled.set()
    assert dispatching_one.result() == 1
    assert await house.status(job.id) == CANCELLED
    assert await house.outbox() == []
    assert await house.claim(job.id) is None


async def test_what_this_process_has_committed_is_handed_over_without_a_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "POLL_SECONDS", 3600.0)
    committed, arrived = asyncio.Event(), asyncio.Event()

    async def publish(jobs: Sequence[tuple[int, str]]) -> None:
        await house.publish(jobs)
        arrived.set()

    async with running(Dispatcher(house.unit_of_work, publish, committed).run()):
        await house.enqueue()
        committed.set()
        async with asyncio.timeout(60):
            await arrived.wait()


async def test_a_dispatcher_outlives_any_number_of_failures(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "LONGEST_REST_SECONDS", 0.0)
    monkeypatch.setattr(dispatching, "POLL_SECONDS", 0.0)
    refusals = iter(range(1100))  # more than a float can double
    arrived = asyncio.Event()

    async def publish(jobs: Sequence[tuple[int, str]]) -> None:
        if next(refusals, None) is not None:
            raise BrokerAway
        await house.publish(jobs)
        arrived.set()

    job = await house.enqueue()
    async with running(Dispatcher(house.unit_of_work, publish, asyncio.Event()).run()):
        async with asyncio.timeout(300):
            await arrived.wait()
    assert house.published == [job.id]
