"""Every way from one status of a job to the next, each within the caller's transaction.

A status moves by compare-and-set: repeated, late or raced, a step finds that it is not its turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.clock import utc_now
from internal.core.job_status import RETRIABLE, JobStatus
from internal.dao.job_events import JobEventDAO
from internal.dao.jobs import JobDAO
from internal.dao.outbox_entries import OutboxEntryDAO
from internal.infra import tracing
from internal.models.job import Job

CLAIM_LASTS = timedelta(seconds=30)
LOST_AFTER = timedelta(seconds=60)
MAX_ERROR_CHARACTERS = 2_000
REAP_BATCH = 500


class ClaimLost(Exception):
    """The job is not this execution's any more: it was cancelled, or given to another."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt has failed.

    Args:
        is_permanent: another attempt would end alike.
        rest: the least rest before another attempt.
    """

    reason: str
    is_permanent: bool = False
    rest: timedelta | None = None


async def enqueue(session: AsyncSession, job: Job) -> Job:
    """Accepts a new job: the row, its first event and its outbox entry."""
    job.status, job.events, job.attempt, job.cancel_requested = JobStatus.QUEUED, 1, 0, False
    await JobDAO(session).create(job)
    _tell(session, job, JobStatus.QUEUED)
    OutboxEntryDAO(session).add(job.id, job.queue, job.next_run_at)
    tracing.submitted(job.kind, job.id)
    return job


async def claim(session: AsyncSession, job_id: int, holder: str) -> Job | None:
    """Takes a job for execution; None where it is not due, or not waiting any more."""
    job = await JobDAO(session).claim(job_id, holder, CLAIM_LASTS)
    if job is not None:
        _tell(session, job, JobStatus.RUNNING)
    return job


async def prolong(session: AsyncSession, job: Job) -> bool:
    """Keeps the claim of a running job alive; whether it is to be cancelled.

    Raises:
        ClaimLost
    """
    is_cancelled = await JobDAO(session).prolong(job.id, job.attempt, CLAIM_LASTS)
    if is_cancelled is None:
        raise ClaimLost
    return is_cancelled


async def succeed(session: AsyncSession, job: Job, result: object) -> None:
    """Raises ClaimLost."""
    values = {"finished_at": utc_now(), "result": result, "error": None}
    await _settle(session, job, JobStatus.SUCCEEDED, **values)


async def fail(session: AsyncSession, job: Job, failure: Failure, policy: RetryPolicy) -> JobStatus:
    """Ends an attempt: failed, dead, queued again after a rest, or cancelled. Raises ClaimLost."""
    # Half of a surrogate pair, in some text from outside, is nothing that a database stores.
    text = failure.reason.encode(errors="replace").decode()
    error = text[:MAX_ERROR_CHARACTERS]
    if not failure.is_permanent and job.attempt < job.max_attempts:
        rest = max(policy.rest(_counted(job, policy)), failure.rest or timedelta())
        return await _again(session, job, utc_now() + rest, error=error)
    status = JobStatus.FAILED if failure.is_permanent else JobStatus.DEAD
    await _settle(session, job, status, finished_at=utc_now(), error=error)
    return status


async def give_back(session: AsyncSession, job: Job) -> None:
    """Puts a job that was interrupted by a stop back at once; the attempt does not count.

    Raises:
        ClaimLost
    """
    await _again(
        session, job, utc_now(), max_attempts=job.max_attempts + 1, error="interrupted by a stop"
    )


async def cancelled(session: AsyncSession, job: Job) -> None:
    """Ends an attempt that was asked to stop. Raises ClaimLost."""
    await _settle(session, job, JobStatus.CANCELLED, finished_at=utc_now())


async def cancel(session: AsyncSession, job: Job) -> bool:
    """Cancels a locked job: at once while it waits; one that runs is asked to stop.

    Returns:
        False where it is finished.
    """
    if job.status == JobStatus.RUNNING:
        job.cancel_requested = True
        await session.flush()
        return True
    if job.status != JobStatus.QUEUED:
        return False
    await OutboxEntryDAO(session).remove_of(job.id, job.next_run_at)
    await _move(session, job, JobStatus.CANCELLED)
    return True


async def retry(session: AsyncSession, job: Job, policy: RetryPolicy) -> bool:
    """Puts a locked job that has ended without success back, with all its attempts before it.

    Returns:
        False where it waits, runs or has succeeded.
    """
    if job.status not in RETRIABLE:
        return False
    job.max_attempts = job.attempt + policy.max_attempts
    job.next_run_at, job.finished_at, job.cancel_requested = utc_now(), None, False
    job.dispatched_at = None
    await _move(session, job, JobStatus.QUEUED)
    OutboxEntryDAO(session).add(job.id, job.queue, job.next_run_at)
    return True


async def put_back_lost(session: AsyncSession) -> int:
    """What was handed to the broker and nobody has claimed for a minute: the broker lost it."""
    lost = await JobDAO(session).lock_lost(LOST_AFTER, REAP_BATCH)
    for job in lost:
        job.dispatched_at = None
        job.next_run_at = utc_now()
        OutboxEntryDAO(session).add(job.id, job.queue, job.next_run_at)
    return len(lost)


async def put_back_abandoned(session: AsyncSession, policy_of: Callable[[str], RetryPolicy]) -> int:
    """What was claimed by somebody who has not been heard of since: another attempt, or dead."""
    abandoned = await JobDAO(session).lock_abandoned(REAP_BATCH)
    for job in abandoned:
        if job.cancel_requested:
            await cancelled(session, job)
        else:
            failure = Failure("the worker died or was cut off")
            await fail(session, job, failure, policy_of(job.kind))
    return len(abandoned)


async def _again(session: AsyncSession, job: Job, due_at: datetime, **values: object) -> JobStatus:
    """Back into the queue, but for a job that somebody has cancelled while it ran."""
    held = await JobDAO(session).lock(job.id)
    if held is not None and held.cancel_requested:
        await cancelled(session, job)
        return JobStatus.CANCELLED
    await _settle(session, job, JobStatus.QUEUED, next_run_at=due_at, **values)
    OutboxEntryDAO(session).add(job.id, job.queue, due_at)
    return JobStatus.QUEUED


async def _settle(session: AsyncSession, job: Job, status: JobStatus, **values: Any) -> None:  # noqa: ANN401
    """Only whoever holds the claim gets past the UPDATE, and only they write the next event."""
    if not await JobDAO(session).settle(job.id, job.attempt, status=status, **values):
        raise ClaimLost
    JobEventDAO(session).add(job.id, job.events + 1, status, job.attempt, values.get("error"))


async def _move(session: AsyncSession, job: Job, status: JobStatus) -> None:
    """Of a locked job."""
    job.status, job.events = status, job.events + 1
    if status.is_final:
        job.finished_at = utc_now()
    await session.flush()
    _tell(session, job, status)


def _tell(session: AsyncSession, job: Job, status: JobStatus) -> None:
    JobEventDAO(session).add(job.id, job.events, status, job.attempt)


def _counted(job: Job, policy: RetryPolicy) -> int:
    """Which attempt it is, without those before a retry and those that a stop interrupted."""
    left = job.max_attempts - job.attempt
    return max(min(policy.max_attempts - left, job.attempt), 1)
