"""Every way from one status to the next, and that none is gone twice: late, repeated or raced."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.clock import utc_now
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.jobs.states import ClaimLost, Failure
from tests.integration.jobs.house import (
    AT_ONCE,
    CANCELLED,
    DEAD,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    House,
    effect,
)

pytestmark = pytest.mark.anyio

PASSES = Failure("the other side is away")
FINAL = Failure("no such thing", is_permanent=True)

type Ending = Callable[[AsyncSession, Job], Awaitable[object]]
ENDINGS: dict[str, Ending] = {
    "succeed": lambda session, job: states.succeed(session, job, {"rows": 1}),
    "fail": lambda session, job: states.fail(session, job, FINAL, AT_ONCE),
    "try again": lambda session, job: states.fail(session, job, PASSES, AT_ONCE),
    "give back": states.give_back,
    "cancelled": states.cancelled,
}
each_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())


async def end(house: House, ending: Ending, job: Job) -> object:
    return await house.write(lambda session: ending(session, job))


async def test_a_new_job_waits_with_its_outbox_entry_and_its_first_event(house: House) -> None:
    job = await house.enqueue()
    assert await house.history(job.id) == [(QUEUED, 0)]
    assert await house.outbox() == [job.id]


async def test_work_that_rolls_back_leaves_neither_job_nor_event_nor_entry(house: House) -> None:
    async def enqueue_and_fail(session: AsyncSession) -> None:
        job = Job(
            kind="test.work",
            queue="default",
            trace_id="",
            payload={},
            max_attempts=1,
            next_run_at=utc_now(),
        )
        ids.append((await states.enqueue(session, job)).id)
        raise RuntimeError("on second thoughts")

    ids: list[int] = []
    with pytest.raises(RuntimeError, match="on second thoughts"):
        await house.write(enqueue_and_fail)
    assert await house.outbox() == []
    assert await house.claim(ids[0]) is None


async def test_a_claim_is_the_next_attempt_of_one_holder_for_a_while(house: House) -> None:
    waiting = await house.enqueue()
    job = await house.claim(waiting.id, "worker-7")
    assert job is not None
    assert (job.status, job.attempt, job.claimed_by) == (RUNNING, 1, "worker-7")
    assert job.claim_expires_at is not None
    assert timedelta(seconds=20) < job.claim_expires_at - utc_now() < timedelta(seconds=40)
    assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1)]


async def test_of_many_claims_at_once_one_wins(house: House) -> None:
    waiting = await house.enqueue()
    claims = await asyncio.gather(*(house.claim(waiting.id, f"worker-{n}") for n in range(8)))
    (winner,) = [claim for claim in claims if claim is not None]
    job = await house.job(waiting.id)
    assert (job.attempt, job.claimed_by) == (1, winner.claimed_by)
    assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1)]


async def test_what_is_not_due_is_not_claimed(house: House) -> None:
    job = await house.enqueue(next_run_at=utc_now() + timedelta(hours=1))
    assert await house.claim(job.id) is None
    assert await house.status(job.id) == QUEUED


async def test_what_is_unknown_or_finished_is_not_claimed(house: House) -> None:
    job = await house.claimed()
    await end(house, ENDINGS["succeed"], job)
    assert await house.claim(job.id) is None
    assert await house.claim(42) is None


async def test_success_keeps_the_result_and_forgets_the_error_before_it(house: House) -> None:
    job = await house.claimed()
    await end(house, ENDINGS["try again"], job)
    await house.make_due(job.id)
    again = await house.claim(job.id)
    assert again is not None
    await end(house, ENDINGS["succeed"], again)
    done = await house.job(job.id)
    assert (done.status, done.result, done.error, done.attempt) == (SUCCEEDED, {"rows": 1}, None, 2)
    assert (done.claimed_by, done.claim_expires_at) == (None, None)
    assert done.finished_at is not None


async def test_a_permanent_failure_is_failed_whatever_attempts_are_left(house: House) -> None:
    job = await house.claimed()
    await end(house, ENDINGS["fail"], job)
    failed = await house.job(job.id)
    assert (failed.status, failed.error, failed.attempt) == (FAILED, FINAL.reason, 1)
    assert failed.finished_at is not None


async def test_another_attempt_rests_as_the_policy_says_and_at_least_as_asked(
    house: House,
) -> None:
    policy = RetryPolicy(max_attempts=3, first=timedelta(minutes=10))
    for failure, least in (
        (PASSES, timedelta(minutes=5)),
        (Failure("busy", rest=timedelta(hours=2)), timedelta(hours=2)),
    ):
        job = await house.claimed()
        before = utc_now()
        await end(house, partial(_fail, failure=failure, policy=policy), job)
        waiting = await house.job(job.id)
        assert (waiting.status, waiting.error) == (QUEUED, failure.reason)
        rest = waiting.next_run_at - before
        assert least <= rest < least + timedelta(minutes=6)
        assert await house.claim(job.id) is None


async def _fail(session: AsyncSession, job: Job, failure: Failure, policy: RetryPolicy) -> None:
    await states.fail(session, job, failure, policy)


async def test_after_its_last_attempt_a_job_is_dead_and_kept(house: House) -> None:
    job = await house.enqueue()
    for _ in range(AT_ONCE.max_attempts):
        await house.make_due(job.id)
        claimed = await house.claim(job.id)
        assert claimed is not None
        await end(house, ENDINGS["try again"], claimed)
    dead = await house.job(job.id)
    assert (dead.status, dead.attempt, dead.error) == (DEAD, 3, PASSES.reason)
    assert (await house.history(job.id))[-1] == (DEAD, 3)


async def test_a_long_reason_is_cut(house: House) -> None:
    job = await house.claimed()
    await end(house, partial(_fail, failure=Failure("x" * 100_000), policy=AT_ONCE), job)
    assert (await house.job(job.id)).error == "x" * states.MAX_ERROR_CHARACTERS


async def test_what_is_given_back_is_due_at_once_and_has_lost_no_attempt(house: House) -> None:
    job = await house.claimed(max_attempts=1)
    await end(house, ENDINGS["give back"], job)
    waiting = await house.job(job.id)
    assert (waiting.status, waiting.attempt, waiting.max_attempts) == (QUEUED, 1, 2)
    assert waiting.next_run_at <= utc_now()
    assert await house.outbox() == [job.id]


@each_ending
async def test_an_ending_that_is_repeated_writes_nothing(house: House, ending: Ending) -> None:
    job = await house.claimed()
    await end(house, ending, job)
    before = await house.history(job.id)
    for again in ENDINGS.values():
        with pytest.raises(ClaimLost):
            await end(house, again, job)
    assert await house.history(job.id) == before


@each_ending
async def test_an_ending_after_another_has_the_job_writes_nothing(
    house: House, ending: Ending
) -> None:
    frozen = await house.claimed()
    await house.abandon(frozen.id)
    await house.write(lambda session: states.put_back_abandoned(session, lambda _: AT_ONCE))
    await house.make_due(frozen.id)
    assert await house.claim(frozen.id, "worker-2") is not None
    with pytest.raises(ClaimLost):
        await end(house, ending, frozen)
    job = await house.job(frozen.id)
    assert (job.status, job.attempt, job.claimed_by) == (RUNNING, 2, "worker-2")


async def test_effect_and_completion_are_one_transaction(house: House) -> None:
    async def complete(session: AsyncSession) -> None:
        await states.succeed(session, job, None)
        await effect(session)

    async def complete_and_fail(session: AsyncSession) -> None:
        await complete(session)
        raise RuntimeError("before the commit")

    job = await house.claimed()
    with pytest.raises(RuntimeError, match="before the commit"):
        await house.write(complete_and_fail)
    assert (await house.status(job.id), await house.effects()) == (RUNNING, 0)
    await house.write(complete)
    with pytest.raises(ClaimLost):
        await house.write(complete)
    assert (await house.status(job.id), await house.effects()) == (SUCCEEDED, 1)


async def test_of_many_completions_at_once_one_has_its_effect(house: House) -> None:
    async def complete(session: AsyncSession) -> None:
        await states.succeed(session, job, None)
        await effect(session)

    job = await house.claimed()
    outcomes = await asyncio.gather(
        *(house.write(complete) for _ in range(8)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(ClaimLost) == 7
    assert await house.effects() == 1


async def test_a_heartbeat_keeps_the_claim_and_tells_of_a_cancel(house: House) -> None:
    job = await house.claimed()
    await house.set(job.id, claim_expires_at=utc_now() - timedelta(seconds=1))
    assert await house.write(lambda session: states.prolong(session, job)) is False
    expires_at = (await house.job(job.id)).claim_expires_at
    assert expires_at is not None
    assert expires_at > utc_now()
    assert await house.do(states.cancel, job.id)
    assert await house.write(lambda session: states.prolong(session, job)) is True


async def test_a_heartbeat_after_the_end_of_a_job_says_so(house: House) -> None:
    job = await house.claimed()
    await end(house, ENDINGS["succeed"], job)
    with pytest.raises(ClaimLost):
        await house.write(lambda session: states.prolong(session, job))


async def test_a_job_that_waits_is_cancelled_at_once_and_never_handed_over(house: House) -> None:
    job = await house.enqueue()
    assert await house.do(states.cancel, job.id)
    assert await house.history(job.id) == [(QUEUED, 0), (CANCELLED, 0)]
    assert (await house.job(job.id)).finished_at is not None
    assert await house.outbox() == []
    assert await house.claim(job.id) is None
    assert not await house.do(states.cancel, job.id)


async def test_a_job_that_runs_is_asked_to_stop_as_often_as_one_likes(house: House) -> None:
    job = await house.claimed()
    assert await house.do(states.cancel, job.id)
    assert await house.do(states.cancel, job.id)
    assert await house.status(job.id) == RUNNING
    await end(house, ENDINGS["cancelled"], job)
    assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1), (CANCELLED, 1)]


@pytest.mark.parametrize("ending", ["try again", "give back"])
async def test_a_job_that_was_cancelled_while_it_ran_does_not_come_back(
    house: House, ending: str
) -> None:
    job = await house.claimed()
    assert await house.do(states.cancel, job.id)
    await end(house, ENDINGS[ending], job)
    assert await house.status(job.id) == CANCELLED


async def test_a_success_is_a_success_though_it_was_cancelled(house: House) -> None:
    job = await house.claimed()
    assert await house.do(states.cancel, job.id)
    await end(house, ENDINGS["succeed"], job)
    assert await house.status(job.id) == SUCCEEDED


async def test_a_claim_and_a_cancel_at_once_leave_a_job_that_ends(house: House) -> None:
    for _ in range(10):
        job = await house.enqueue()
        claim, cancelled = await asyncio.gather(
            house.claim(job.id), house.do(states.cancel, job.id)
        )
        assert cancelled
        if claim is None:
            assert await house.history(job.id) == [(QUEUED, 0), (CANCELLED, 0)]
        else:
            assert await house.write(partial(states.prolong, job=claim))


@pytest.mark.parametrize("ending", ["fail", "cancelled"])
async def test_a_retry_puts_back_with_all_attempts_and_goes_on_counting(
    house: House, ending: str
) -> None:
    job = await house.claimed()
    await end(house, ENDINGS[ending], job)
    assert await house.do(partial(states.retry, policy=AT_ONCE), job.id)
    waiting = await house.job(job.id)
    assert (waiting.status, waiting.attempt, waiting.max_attempts) == (QUEUED, 1, 4)
    assert (waiting.finished_at, waiting.cancel_requested) == (None, False)
    await house.make_due(job.id)
    again = await house.claim(job.id)
    assert again is not None
    assert again.attempt == 2
    assert (await house.history(job.id))[-2:] == [(QUEUED, 1), (RUNNING, 2)]


async def test_a_retry_that_is_repeated_finds_nothing_to_do(house: House) -> None:
    job = await house.claimed()
    await end(house, ENDINGS["fail"], job)
    retry = partial(states.retry, policy=AT_ONCE)
    assert await house.do(retry, job.id)
    before = await house.history(job.id)
    assert not await house.do(retry, job.id)
    assert await house.history(job.id) == before
    assert await house.outbox() == [job.id]


async def test_what_runs_or_has_succeeded_is_not_put_back(house: House) -> None:
    retry = partial(states.retry, policy=AT_ONCE)
    job = await house.claimed()
    assert not await house.do(retry, job.id)
    await end(house, ENDINGS["succeed"], job)
    assert not await house.do(retry, job.id)
    assert not await house.do(states.cancel, job.id)
    assert await house.status(job.id) == SUCCEEDED


async def test_a_job_that_was_handed_over_cancelled_and_put_back_is_not_lost(house: House) -> None:
    job = await house.enqueue()
    assert await house.dispatcher().dispatch_due() == 1
    assert await house.do(states.cancel, job.id)
    assert await house.do(partial(states.retry, policy=AT_ONCE), job.id)
    assert (await house.job(job.id)).dispatched_at is None
    assert await house.outbox() == [job.id]


async def test_a_job_that_was_put_back_rests_as_after_its_first_attempt(house: House) -> None:
    policy = RetryPolicy(max_attempts=2, first=timedelta(seconds=100), longest=timedelta(days=9))
    job = await house.enqueue(max_attempts=2)
    await house.write(partial(set_attempts, job_id=job.id, attempt=40, max_attempts=42))
    claim = await house.claim(job.id)
    assert claim is not None
    await house.write(partial(states.fail, job=claim, failure=Failure("late"), policy=policy))
    rest = (await house.job(job.id)).next_run_at - utc_now()
    assert timedelta(seconds=20) < rest <= timedelta(seconds=100)


async def set_attempts(session: AsyncSession, job_id: int, attempt: int, max_attempts: int) -> None:
    """What forty attempts and a retry have left."""
    job = await session.get_one(Job, job_id)
    job.attempt, job.max_attempts = attempt, max_attempts
