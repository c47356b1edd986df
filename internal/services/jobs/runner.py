"""From a job's id to its end. Celery and the embedded twin both call it."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from loguru import logger
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.context import set_trace_id
from internal.core.job_status import JobStatus
from internal.infra.metrics import OTHER, Metrics
from internal.infra.tracing import OFF, Tracing, current_failed
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.jobs.attempt import Attempt, Interrupted
from internal.services.jobs.kind import Execution, JobFailed, Kind, TryAgain
from internal.services.jobs.patience import outlasting
from internal.services.jobs.states import LOST_AFTER, ClaimLost, Failure
from internal.services.leases import new_holder
from internal.services.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from internal.services.assembly import Services

CLAIM_RETRY_SECONDS = 0.5
# A database that is frozen does not hold up a stop: the claim runs out, the reaper does the rest.
GIVE_BACK_SECONDS = 5.0

_log = logger.bind(logger="jobs")


class Runner:
    """Executes jobs by their ids.

    Args:
        kinds: by name, what this release can do.
        services: what the kinds' functions work with.
        metrics: counts what becomes of jobs; None: nobody does.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        kinds: Mapping[str, Kind[Any]],
        services: "Services",
        metrics: Metrics | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._kinds = kinds
        self._services = services
        self._metrics = metrics
        self._tracing = tracing
        self._holder = new_holder()

    async def run(self, job_id: int) -> JobStatus | None:
        """Claims the job and executes it. Cancelling this call gives the job back at once.

        Returns:
            What became of it; None where there was nothing to do: the job is unknown, not due,
            finished, somebody else's, or was taken away in the middle.
        """
        job = await self._claim(job_id)
        if job is None:
            return None
        set_trace_id(job.trace_id)
        started = time.perf_counter()
        try:
            with self._tracing.job(job.kind, job.id, job.attempt) as span:
                status = await self._execute(job)
                span.set_attribute("job.status", status)
        except ClaimLost:
            _log.bind(job_id=job.id, attempt=job.attempt).warning("the job was taken away")
            return None
        seconds = time.perf_counter() - started
        self._count(job, status, seconds)
        milliseconds = round(seconds * 1000, 1)
        _log.bind(job_id=job.id, kind=job.kind, attempt=job.attempt, ms=milliseconds).info(
            "job {}", status
        )
        return status

    def _count(self, job: Job, status: JobStatus, seconds: float) -> None:
        if self._metrics is not None:
            kind = job.kind if job.kind in self._kinds else OTHER
            self._metrics.count("jobs_total", kind, status)
            self._metrics.observe("job_duration_seconds", seconds, kind, status)

    async def _claim(self, job_id: int) -> Job | None:
        """While the database is away, waits for it: a job that is dropped is late by a minute."""

        async def claim() -> Job | None:
            async with self._unit_of_work.begin() as session:
                return await states.claim(session, job_id, self._holder)

        return await outlasting(claim, at_most=LOST_AFTER, rest_seconds=CLAIM_RETRY_SECONDS)

    async def _execute(self, job: Job) -> JobStatus:
        attempt = Attempt(self._unit_of_work, job)
        kind = self._kinds.get(job.kind)
        policy = kind.retry if kind else RetryPolicy()
        try:
            outcome = await self._outcome(kind, attempt)
        except asyncio.CancelledError:
            if not attempt.is_complete:
                await _give_back(attempt)
            raise
        # What is raised after the completion has no say any more.
        if attempt.is_complete or isinstance(outcome, JobStatus):
            return JobStatus.SUCCEEDED
        if outcome is Interrupted.TIMED_OUT:
            current_failed(TimeoutError())
        status = JobStatus.CANCELLED

        async def write(session: AsyncSession) -> None:
            nonlocal status
            if outcome is Interrupted.CANCELLED:
                await states.cancelled(session, job)
            else:
                failure = outcome if isinstance(outcome, Failure) else Failure("timed out")
                status = await states.fail(session, job, failure, policy)

        await attempt.record(write)
        return status

    async def _outcome(
        self, kind: Kind[Any] | None, attempt: Attempt
    ) -> JobStatus | Failure | Interrupted:
        """Succeeded, or why not. Raises ClaimLost."""
        job = attempt.job
        try:
            return await self._perform(kind, attempt)
        except ClaimLost:
            raise
        except JobFailed as error:
            current_failed(error)
            return Failure(str(error), is_permanent=True)
        except TryAgain as error:
            current_failed(error)
            return Failure(str(error), rest=error.after)
        except Exception as error:  # noqa: BLE001 - whatever the kind's function raises is its outcome
            _log.bind(job_id=job.id, kind=job.kind, attempt=job.attempt).exception("job failed")
            current_failed(error)
            return Failure(f"{type(error).__name__}; the log tells more")

    async def _perform(self, kind: Kind[Any] | None, attempt: Attempt) -> JobStatus | Interrupted:
        job = attempt.job
        # What is strange is a newer release's, most likely, whose workers take the next attempts.
        if kind is None:
            raise TryAgain(f"this release does not know the kind {job.kind}")
        try:
            payload = kind.payload.model_validate(job.payload)
        except ValidationError:
            raise TryAgain("this release does not understand the payload") from None
        execution = Execution(
            job_id=job.id,
            attempt=job.attempt,
            owner_id=job.owner_id,
            payload=payload,
            services=self._services,
            complete=attempt.complete,
        )
        result = await attempt.work(kind.run(execution), kind.timeout.total_seconds())
        if attempt.is_complete:
            return JobStatus.SUCCEEDED
        if isinstance(result, Interrupted):
            return result
        await attempt.record(lambda session: states.succeed(session, job, result))
        return JobStatus.SUCCEEDED


async def _give_back(attempt: Attempt) -> None:
    """Though its execution is being cancelled; whoever has taken it away may keep it."""
    with anyio.move_on_after(GIVE_BACK_SECONDS, shield=True), suppress(ClaimLost):
        await attempt.record(lambda session: states.give_back(session, attempt.job))
