"""Jobs as their owners see them: submitted, looked at, cancelled, put back."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.caller import Caller, CallerKind, Role
from internal.core.clock import utc_now
from internal.core.context import current_trace_id, new_trace_id
from internal.core.errors import Conflict, NotFound, PayloadTooLarge, Text, ValidationFailed
from internal.core.job_status import JobStatus
from internal.dao.base import Listing, ListQuery
from internal.dao.job_events import JobEventDAO
from internal.dao.jobs import JobDAO
from internal.models.job import Job
from internal.models.job_event import JobEvent
from internal.schemas.jobs import NewJob
from internal.services import audit
from internal.services.authorization import is_admin, require_admin, require_owner
from internal.services.jobs import states
from internal.services.jobs.kind import Kind
from internal.services.unit_of_work import UnitOfWork

MAX_PAYLOAD_BYTES = 64 * 1024
# MariaDB's JSON has 31 levels, MySQL's 100.
MAX_PAYLOAD_DEPTH = 30
MAX_AHEAD = timedelta(days=366)
EVENTS_AT_ONCE = 100


class UnknownKind(ValidationFailed):
    message = Text("there is no such kind of job", "没有这种任务类型")


class TooFarAhead(ValidationFailed):
    message = Text("run_at is more than a year ahead", "run_at 超过一年以后")


class JobFinished(Conflict):
    message = Text("the job is finished", "任务已结束")


class NotRetriable(Conflict):
    message = Text(
        "only a job that failed, died or was cancelled can be put back",
        "只有失败、耗尽重试或已取消的任务可以重新排队",
    )


class Jobs:
    """What routes and commands do with jobs.

    Args:
        kinds: by name, what may be asked for.
    """

    def __init__(self, unit_of_work: UnitOfWork, kinds: Mapping[str, Kind[Any]]) -> None:
        self._unit_of_work = unit_of_work
        self._kinds = kinds
        # For the dispatcher of this process: there is something new, and it is committed.
        self.committed = asyncio.Event()

    async def submit(self, session: AsyncSession, caller: Caller, new: NewJob) -> Job:
        """Accepts a job in the caller's transaction; set `committed` after its commit.

        Raises:
            UnknownKind: or one that this caller may not ask for.
            ValidationFailed: the payload is not of the kind's shape, or no JSON that can be stored.
            PayloadTooLarge: over `MAX_PAYLOAD_BYTES` as JSON.
            TooFarAhead: `run_at` is over `MAX_AHEAD` from now. One in the past is due at once.
        """
        kind = self._kinds.get(new.kind)
        if kind is None or not (is_admin(caller) or kind.submitted_by is Role.USER):
            raise UnknownKind([_field_error("body.kind", "unknown_kind", "no such kind")])
        now = utc_now()
        if new.run_at is not None and new.run_at > now + MAX_AHEAD:
            raise TooFarAhead([_field_error("body.run_at", "too_far_ahead", "at most a year")])
        owner_id = caller.id if caller.kind is CallerKind.USER else None
        payload = _checked(kind, new.payload)
        job = await self._enqueue(session, kind, payload, new.run_at, owner_id)
        await audit.record(session, caller, "job.submit", ("job", job.id), {"kind": kind.name})
        return job

    async def submit_own(self, session: AsyncSession, name: str, payload: dict[str, Any]) -> Job:
        """A job of the service's own, like the scheduler's."""
        kind = self._kinds[name]
        return await self._enqueue(session, kind, _checked(kind, payload), None, None)

    async def get(self, caller: Caller, job_id: int) -> Job:
        """Raises NotFound: there is none, or it is somebody else's."""
        async with self._unit_of_work.read() as session:
            return _visible(caller, await JobDAO(session).get(job_id))

    async def list(self, caller: Caller, query: ListQuery) -> Listing[Job]:
        """One page: everybody's for admins, else the caller's own."""
        if not is_admin(caller):
            own = {**query.filters, "owner_id": caller.id}
            query = ListQuery(query.page, query.limit, query.sort, own)
        async with self._unit_of_work.read() as session:
            return await JobDAO(session).list(query)

    async def events(self, job_id: int, after: int) -> Sequence[JobEvent]:
        """At most `EVENTS_AT_ONCE` next events of a job that the caller was shown."""
        async with self._unit_of_work.read() as session:
            return await JobEventDAO(session).after(job_id, after, EVENTS_AT_ONCE)

    async def event_counts(self, job_ids: Collection[int]) -> dict[int, int]:
        async with self._unit_of_work.read() as session:
            return await JobDAO(session).event_counts(job_ids)

    async def cancel(self, caller: Caller, job_id: int) -> Job:
        """Cancels at once what waits; what runs is asked to stop, within seconds.

        Raises:
            NotFound, JobFinished
        """
        async with self._unit_of_work.begin(caller.id) as session:
            job = _visible(caller, await JobDAO(session).lock(job_id))
            if not await states.cancel(session, job):
                raise JobFinished
            await audit.record(session, caller, "job.cancel", ("job", job.id))
            return job

    async def retry(self, caller: Caller, job_id: int) -> Job:
        """Puts a job that has ended without success back into the queue.

        Raises:
            NotFound, NotRetriable
        """
        async with self._unit_of_work.begin(caller.id) as session:
            job = _visible(caller, await JobDAO(session).lock(job_id))
            if not await states.retry(session, job, self.policy(job.kind)):
                raise NotRetriable
            await audit.record(session, caller, "job.retry", ("job", job.id))
        self.committed.set()
        return job

    async def purge(
        self,
        caller: Caller,
        finished_before: datetime,
        limit: int = 1000,
        *,
        include_dead: bool = False,
    ) -> int:
        """Deletes jobs that ended before then, with their events; returns how many.

        Args:
            include_dead: dead jobs are kept otherwise, until somebody has decided about them.
        """
        require_admin(caller)
        final = {status for status in JobStatus if status.is_final}
        statuses = final if include_dead else final - {JobStatus.DEAD}
        async with self._unit_of_work.begin(caller.id) as session:
            return await JobDAO(session).purge(finished_before, limit, statuses)

    def policy(self, kind: str) -> RetryPolicy:
        """Also of a kind that this release does not know."""
        known = self._kinds.get(kind)
        return known.retry if known else RetryPolicy()

    async def _enqueue(
        self,
        session: AsyncSession,
        kind: Kind[Any],
        payload: dict[str, Any],
        run_at: datetime | None,
        owner_id: int | None,
    ) -> Job:
        return await states.enqueue(
            session,
            Job(
                kind=kind.name,
                queue=kind.queue,
                owner_id=owner_id,
                trace_id=current_trace_id() or new_trace_id(),
                payload=payload,
                max_attempts=kind.retry.max_attempts,
                next_run_at=max(run_at, utc_now()) if run_at else utc_now(),
            ),
        )


def _checked(kind: Kind[Any], payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as it is stored, in the kind's shape."""
    _json_of(payload)  # before Pydantic turns a NaN into null
    try:
        parsed = kind.payload.model_validate(payload)
    except ValidationError as error:
        raise ValidationFailed(
            [
                _field_error(
                    ".".join(map(str, ("body.payload", *item["loc"]))), item["type"], item["msg"]
                )
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    stored: dict[str, Any] = parsed.model_dump(mode="json")
    if len(_json_of(stored)) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge
    return stored


def _json_of(payload: dict[str, Any]) -> bytes:
    """As RFC 8259 has it: Python takes more for JSON than databases do.

    Raises:
        ValidationFailed: numbers that are none, half of a surrogate pair, or too many levels.
    """
    if _depth(payload) > MAX_PAYLOAD_DEPTH:
        message = f"at most {MAX_PAYLOAD_DEPTH} levels"
        raise ValidationFailed([_field_error("body.payload", "too_deep", message)])
    try:
        text = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except ValueError:  # an encoding error is one, too
        message = "NaN, Infinity and halves of surrogate pairs are no JSON"
        raise ValidationFailed([_field_error("body.payload", "no_json", message)]) from None


def _depth(value: object) -> int:
    """How many levels of objects and arrays; level by level, so that none is too deep to count."""
    levels, level = 0, [value]
    while nested := [item for item in level if isinstance(item, dict | list)]:
        levels += 1
        level = [
            child
            for item in nested
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return levels


def _field_error(field: str, kind: str, message: str) -> dict[str, str]:
    return {"field": field, "type": kind, "message": message}


def _visible(caller: Caller, job: Job | None) -> Job:
    """Raises NotFound for those who may not see it, too."""
    if job is None:
        raise NotFound
    if not is_admin(caller):
        require_owner(caller, job.owner_id or 0)
    return job
