"""From a job's id to its end: whatever the kind's function does, the job knows how it stands."""

import asyncio
from datetime import timedelta

import anyio
import pytest

from internal.core.clock import utc_now
from internal.core.context import current_trace_id
from internal.infra.task_manager import TaskLimits, TaskStatus, open_task_manager
from internal.services.jobs import attempt as attempting
from internal.services.jobs import states
from internal.services.jobs.embedded import embedded_publish
from internal.services.jobs.kind import Execution, JobFailed, TryAgain
from internal.services.jobs.states import ClaimLost
from tests.integration.jobs.house import (
    AT_ONCE,
    CANCELLED,
    DEAD,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    House,
    Nothing,
    complete_with_effect,
    effect,
)

pytestmark = pytest.mark.anyio

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempting, "HEARTBEAT_SECONDS", 0.05)


class Sleeper:
    """Work that goes on until it is ended; it tells when it has begun and how it was ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.was_ended = False

    async def __call__(self, _execution: Execution[Nothing]) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_ended = True
            raise


async def returning(_execution: Execution[Nothing]) -> object:
    return {"rows": 3, "trace_id": current_trace_id()}


async def test_what_the_function_returns_is_the_result_under_the_jobs_trace_id(
    house: House,
) -> None:
    job = await house.enqueue(trace_id="cd" * 16)
    assert await house.runner(returning).run(job.id) == SUCCEEDED
    done = await house.job(job.id)
    assert (done.status, done.result) == (SUCCEEDED, {"rows": 3, "trace_id": "cd" * 16})
    assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1), (SUCCEEDED, 1)]


async def test_what_is_not_there_not_due_or_done_is_not_executed(house: House) -> None:
    runner = house.runner(complete_with_effect)
    later = await house.enqueue(next_run_at=utc_now() + timedelta(hours=1))
    done = await house.enqueue()
    assert await runner.run(done.id) == SUCCEEDED
    assert [await runner.run(job_id) for job_id in (42, later.id, done.id)] == [None] * 3
    assert await house.effects() == 1


async def test_one_that_is_handed_over_many_times_at_once_has_one_effect(house: House) -> None:
    job = await house.enqueue()
    runner = house.runner(complete_with_effect)
    outcomes = await asyncio.gather(*(runner.run(job.id) for _ in range(8)))
    assert outcomes.count(SUCCEEDED) == 1
    assert outcomes.count(None) == 7
    assert await house.effects() == 1


async def test_an_execution_knows_its_attempt_and_has_one_key_for_all_of_them(
    house: House,
) -> None:
    seen: list[tuple[int, str]] = []

    async def note(execution: Execution[Nothing]) -> None:
        seen.append((execution.attempt, execution.idempotency_key))
        raise TryAgain("once more")

    job = await house.enqueue()
    for _ in range(2):
        await house.make_due(job.id)
        await house.runner(note).run(job.id)
    assert seen == [(1, f"job-{job.id}"), (2, f"job-{job.id}")]


async def test_a_failure_that_is_final_is_failed_with_its_reason(house: House) -> None:
    async def refuse(_execution: Execution[Nothing]) -> None:
        raise JobFailed("there is no such endpoint")

    job = await house.enqueue()
    assert await house.runner(refuse).run(job.id) == FAILED
    assert (await house.job(job.id)).error == "there is no such endpoint"


@pytest.mark.parametrize("error", [JobFailed, TryAgain])
async def test_a_reason_that_no_database_stores_is_stored_without_what_is_no_text(
    house: House, error: type[Exception]
) -> None:
    async def refuse(_execution: Execution[Nothing]) -> None:
        raise error("it said \ud83d")

    job = await house.enqueue()
    await house.runner(refuse).run(job.id)
    ended = await house.job(job.id)
    assert ended.status == (FAILED if error is JobFailed else QUEUED)
    assert ended.error == "it said ?"


async def test_try_again_rests_at_least_as_long_as_it_asks_for(house: House) -> None:
    async def busy(_execution: Execution[Nothing]) -> None:
        raise TryAgain("429", after=timedelta(hours=1))

    job = await house.enqueue()
    before = utc_now()
    assert await house.runner(busy).run(job.id) == QUEUED
    waiting = await house.job(job.id)
    assert waiting.error == "429"
    assert waiting.next_run_at >= before + timedelta(hours=1)


async def test_an_unexpected_exception_shows_its_type_and_not_its_text(house: House) -> None:
    async def stumble(_execution: Execution[Nothing]) -> None:
        raise LookupError(SECRET)

    job = await house.enqueue()
    for status in (QUEUED, QUEUED, DEAD):
        await house.make_due(job.id)
        assert await house.runner(stumble).run(job.id) == status
    dead = await house.job(job.id)
    assert dead.error == "LookupError; the log tells more"
    assert SECRET not in repr(vars(dead))


async def test_effects_of_work_that_fails_are_undone_with_its_completion(house: House) -> None:
    async def stumble(execution: Execution[Nothing]) -> None:
        async with execution.complete(None) as session:
            await effect(session)
            raise LookupError

    job = await house.enqueue()
    assert await house.runner(stumble).run(job.id) == QUEUED
    assert await house.effects() == 0


async def test_what_is_raised_after_the_completion_does_not_undo_it(house: House) -> None:
    async def stumble(execution: Execution[Nothing]) -> None:
        await complete_with_effect(execution)
        raise LookupError

    job = await house.enqueue()
    assert await house.runner(stumble).run(job.id) == SUCCEEDED
    assert (await house.status(job.id), await house.effects()) == (SUCCEEDED, 1)


async def test_a_result_that_is_no_json_is_a_failure(house: House) -> None:
    async def odd(_execution: Execution[Nothing]) -> object:
        return object()

    job = await house.enqueue()
    assert await house.runner(odd).run(job.id) == QUEUED
    assert (await house.job(job.id)).result is None


async def test_what_takes_too_long_is_ended_and_another_attempt(house: House) -> None:
    sleeper = Sleeper()
    job = await house.enqueue()
    runner = house.runner(sleeper, timeout=timedelta(seconds=0.2))
    assert await runner.run(job.id) == QUEUED
    assert (await house.job(job.id)).error == "timed out"
    assert sleeper.was_ended


async def test_a_users_cancel_ends_the_work_at_the_next_heartbeat(house: House) -> None:
    sleeper = Sleeper()
    job = await house.enqueue()
    running = asyncio.create_task(house.runner(sleeper).run(job.id))
    await sleeper.begun.wait()
    await house.do(states.cancel, job.id)
    async with asyncio.timeout(60):
        assert await running == CANCELLED
    assert sleeper.was_ended
    assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1), (CANCELLED, 1)]


async def test_a_claim_that_is_taken_away_ends_the_work_and_writes_nothing(house: House) -> None:
    sleeper = Sleeper()
    job = await house.enqueue()
    running = asyncio.create_task(house.runner(sleeper).run(job.id))
    await sleeper.begun.wait()
    await house.set(job.id, attempt=2, claimed_by="another")
    async with asyncio.timeout(60):
        assert await running is None
    assert sleeper.was_ended
    held = await house.job(job.id)
    assert (held.status, held.attempt, held.claimed_by) == (RUNNING, 2, "another")


async def test_a_claim_that_was_taken_away_unnoticed_keeps_the_effect_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting, "HEARTBEAT_SECONDS", 3600.0)

    async def be_slow(execution: Execution[Nothing]) -> None:
        await house.set(execution.job_id, attempt=2, claimed_by="another")
        await complete_with_effect(execution)

    job = await house.enqueue()
    assert await house.runner(be_slow).run(job.id) is None
    assert await house.effects() == 0
    assert (await house.job(job.id)).claimed_by == "another"


async def test_a_claim_is_kept_alive_while_the_work_goes_on(house: House) -> None:
    async def is_abandoned(job_id: int) -> bool:
        expires_at = (await house.job(job_id)).claim_expires_at
        return expires_at is None or expires_at < utc_now()

    async def wait_for_a_heartbeat(execution: Execution[Nothing]) -> None:
        await house.abandon(execution.job_id)
        while await is_abandoned(execution.job_id):
            await asyncio.sleep(0.01)

    job = await house.enqueue()
    async with asyncio.timeout(60):
        assert await house.runner(wait_for_a_heartbeat).run(job.id) == SUCCEEDED


async def test_an_execution_that_is_cancelled_gives_the_job_back_at_once(house: House) -> None:
    sleeper = Sleeper()
    job = await house.enqueue(max_attempts=1)
    running = asyncio.create_task(house.runner(sleeper).run(job.id))
    await sleeper.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    waiting = await house.job(job.id)
    assert (waiting.status, waiting.attempt, waiting.max_attempts) == (QUEUED, 1, 2)
    assert sleeper.was_ended
    await house.make_due(job.id)
    assert await house.runner(complete_with_effect).run(job.id) == SUCCEEDED


async def test_an_execution_that_is_cancelled_after_its_claim_was_lost_raises_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting, "HEARTBEAT_SECONDS", 3600.0)
    sleeper = Sleeper()
    job = await house.enqueue()
    running = asyncio.create_task(house.runner(sleeper).run(job.id))
    await sleeper.begun.wait()
    await house.set(job.id, attempt=2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await house.job(job.id)).attempt == 2


async def test_a_scope_that_cancels_again_and_again_does_not_keep_the_job(house: House) -> None:
    """How the task manager stops: anyio repeats a cancellation until the scope is left."""
    sleeper = Sleeper()
    job = await house.enqueue()
    async with anyio.create_task_group() as group:
        group.start_soon(house.runner(sleeper).run, job.id)
        await sleeper.begun.wait()
        group.cancel_scope.cancel()
    assert await house.status(job.id) == QUEUED
    assert await house.outbox() == [job.id, job.id]


async def test_work_that_swallows_its_cancellation_is_left_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting, "UNWIND_SECONDS", 0.1)
    ended, refused = asyncio.Event(), asyncio.Event()

    async def be_stubborn(execution: Execution[Nothing]) -> None:
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue
        with pytest.raises(ClaimLost):
            await complete_with_effect(execution)
        refused.set()

    job = await house.enqueue()
    runner = house.runner(be_stubborn, timeout=timedelta(seconds=0.1))
    assert await runner.run(job.id) == QUEUED
    ended.set()
    async with asyncio.timeout(60):
        await refused.wait()
    assert (await house.status(job.id), await house.effects()) == (QUEUED, 0)


async def test_work_that_says_it_was_cancelled_has_used_an_attempt(house: House) -> None:
    async def leak(_execution: Execution[Nothing]) -> None:
        raise asyncio.CancelledError

    job = await house.enqueue()
    assert await house.runner(leak).run(job.id) == QUEUED
    waiting = await house.job(job.id)
    assert (waiting.attempt, waiting.max_attempts) == (1, AT_ONCE.max_attempts)
    assert waiting.error == "the work was cancelled from within"


async def test_a_kind_of_a_newer_release_is_left_for_another_attempt(house: House) -> None:
    job = await house.enqueue(kind="test.newer")
    assert await house.runner(returning).run(job.id) == QUEUED
    waiting = await house.job(job.id)
    assert waiting.error == "this release does not know the kind test.newer"
    assert waiting.next_run_at > utc_now()


async def test_a_payload_of_a_newer_release_is_left_for_another_attempt(house: House) -> None:
    class Strict(Nothing, extra="forbid"):
        pass

    job = await house.enqueue(payload={"since": "the future"})
    assert await house.runner(returning, payload=Strict).run(job.id) == QUEUED
    assert (await house.job(job.id)).error == "this release does not understand the payload"


async def test_embedded_the_next_attempt_is_not_refused_for_the_last_one(house: House) -> None:
    attempts: list[int] = []

    async def succeed_at_last(execution: Execution[Nothing]) -> None:
        attempts.append(execution.attempt)
        if execution.attempt < 3:
            raise TryAgain("not yet")

    job = await house.enqueue()
    async with open_task_manager(10, TaskLimits(tasks=4, threads=1)) as tasks:
        publish = embedded_publish(tasks, house.runner(succeed_at_last).run)
        for number in range(1, 4):
            await house.make_due(job.id)
            await publish([(job.id, "default")])
            assert await tasks.wait(f"job-{job.id}-{number}") is TaskStatus.SUCCEEDED
    assert attempts == [1, 2, 3]
    assert await house.status(job.id) == SUCCEEDED


async def test_embedded_a_stop_gives_the_jobs_at_hand_back(house: House) -> None:
    sleeper = Sleeper()
    job = await house.enqueue()
    async with open_task_manager(10, TaskLimits(tasks=4, threads=1)) as tasks:
        await embedded_publish(tasks, house.runner(sleeper).run)([(job.id, "default")])
        await sleeper.begun.wait()
        await tasks.drain(0)
    assert await house.status(job.id) == QUEUED
    assert (await house.history(job.id))[-1] == (QUEUED, 1)
