from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, case, delete, func, select, update

from internal.core.job_status import JobStatus
from internal.dao.base import BaseDAO
from internal.dao.database_time import database_now
from internal.models.job import Job
from internal.models.job_event import JobEvent


class JobDAO(BaseDAO[Job]):
    """Every change of a status is an UPDATE that names the status it expects."""

    model = Job
    sortable = frozenset({"id", "created_at", "next_run_at"})
    filterable = frozenset({"kind", "status", "owner_id"})

    async def claim(self, job_id: int, holder: str, lasting: timedelta) -> Job | None:
        """Takes a job that waits and is due; None where it does not, or another was first."""
        taken = await self._set(
            (Job.id == job_id, Job.status == JobStatus.QUEUED, Job.next_run_at <= database_now()),
            status=JobStatus.RUNNING,
            events=Job.events + 1,
            attempt=Job.attempt + 1,
            claimed_by=holder,
            claim_expires_at=database_now(lasting),
            dispatched_at=None,
        )
        return await self._session.get(Job, job_id) if taken else None

    async def prolong(self, job_id: int, attempt: int, lasting: timedelta) -> bool | None:
        """Keeps a claim alive; whether the job is to be cancelled, None where the claim is lost."""
        held = _is_held(job_id, attempt)
        if not await self._set(held, claim_expires_at=database_now(lasting)):
            return None
        return bool(await self._session.scalar(select(Job.cancel_requested).where(*held)))

    async def settle(self, job_id: int, attempt: int, **values: object) -> bool:
        """Ends an execution; False where it is not this one's to end any more."""
        released = {"claimed_by": None, "claim_expires_at": None, "dispatched_at": None}
        values = {**released, "events": Job.events + 1, **values}
        return bool(await self._set(_is_held(job_id, attempt), **values))

    async def mark_dispatched(self, job_ids: Collection[int]) -> None:
        """Those that still wait: some may have been claimed already, or rest after an attempt.

        By their ids alone: through the index of another column, two replicas would lock each
        other's rows, and one of them would be the victim of a deadlock.
        """
        waits = (Job.status == JobStatus.QUEUED) & (Job.next_run_at <= database_now())
        dispatched_at = case((waits, database_now()), else_=Job.dispatched_at)
        await self._set((Job.id.in_(job_ids),), dispatched_at=dispatched_at)

    async def lock_lost(self, after: timedelta, limit: int) -> Sequence[Job]:
        """Jobs that were handed to the broker so long ago and that nobody has claimed."""
        return await self._lock_some(
            Job.status == JobStatus.QUEUED, Job.dispatched_at < database_now(-after), limit=limit
        )

    async def lock_abandoned(self, limit: int) -> Sequence[Job]:
        """Jobs whose claim has run out: whoever executed them is dead, frozen or cut off."""
        return await self._lock_some(
            Job.status == JobStatus.RUNNING, Job.claim_expires_at < database_now(), limit=limit
        )

    async def counts(self) -> Sequence[tuple[str, str, int]]:
        """(kind, status, how many) of what is not done with: queued, running, dead."""
        statement = (
            select(Job.kind, Job.status, func.count())
            .where(Job.status.in_((JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DEAD)))
            .group_by(Job.kind, Job.status)
        )
        return [
            (kind, status, count) for kind, status, count in await self._session.execute(statement)
        ]

    async def counts_by_queue(self) -> Sequence[tuple[str, str, int]]:
        """(queue, status, how many) of what is not done with."""
        statement = (
            select(Job.queue, Job.status, func.count())
            .where(Job.status.in_((JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DEAD)))
            .group_by(Job.queue, Job.status)
            .order_by(Job.queue, Job.status)
        )
        return [
            (queue, status, count)
            for queue, status, count in await self._session.execute(statement)
        ]

    async def event_counts(self, job_ids: Collection[int]) -> dict[int, int]:
        statement = select(Job.id, Job.events).where(Job.id.in_(job_ids))
        return dict((await self._session.execute(statement)).all())

    async def purge(
        self, finished_before: datetime, limit: int, statuses: Collection[JobStatus]
    ) -> int:
        """Deletes the oldest jobs that ended so before then, with their events; how many."""
        statement = (
            select(Job.id)
            .where(Job.finished_at < finished_before, Job.status.in_(statuses))
            .order_by(Job.finished_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = (await self._session.scalars(statement)).all()
        for model, column in ((JobEvent, JobEvent.job_id), (Job, Job.id)):
            doomed = delete(model).where(column.in_(ids))
            await self._session.execute(doomed.execution_options(synchronize_session=False))
        return len(ids)

    async def _lock_some(self, *conditions: ColumnElement[bool], limit: int) -> Sequence[Job]:
        statement = select(Job).where(*conditions).limit(limit).with_for_update(skip_locked=True)
        return (await self._session.scalars(statement)).all()

    async def _set(self, conditions: Collection[ColumnElement[bool]], **values: Any) -> int:  # noqa: ANN401
        statement = (
            update(Job)
            .where(*conditions)
            .values(values)
            .execution_options(synchronize_session=False)
        )
        result = await self._session.execute(statement)
        return cast("CursorResult[object]", result).rowcount


def _is_held(job_id: int, attempt: int) -> tuple[ColumnElement[bool], ...]:
    return Job.id == job_id, Job.status == JobStatus.RUNNING, Job.attempt == attempt
