"""A database with jobs in it, and what a test does to them behind the service's back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from sqlalchemy import delete, func, select, update

from internal.config.settings import Settings
from internal.core.backoff import RetryPolicy
from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.core.job_status import JobStatus
from internal.infra.redis import create_client
from internal.models.audit_event import AuditEvent
from internal.models.job import Job
from internal.models.job_event import JobEvent
from internal.models.outbox_entry import OutboxEntry
from internal.services import audit
from internal.services.assembly import assemble_services
from internal.services.jobs import states
from internal.services.jobs.dispatcher import Dispatcher
from internal.services.jobs.kind import Execution, Kind
from internal.services.jobs.runner import Runner
from internal.services.kinds import KINDS
from internal.services.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession

    from internal.services.assembly import Services

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
AT_ONCE = RetryPolicy(max_attempts=3, first=timedelta())
NAME = "test.work"


class Nothing(BaseModel):
    """The payload of jobs that need none."""


type Work = Callable[[Execution[Nothing]], Awaitable[object]]


@dataclass
class House:
    """Jobs, and what executes them.

    Args:
        published: what the dispatchers of the house have handed over.
    """

    unit_of_work: UnitOfWork
    settings: Settings
    published: list[int] = field(default_factory=list)

    async def enqueue(self, **values: Any) -> Job:
        """A job that is due, unless the values say otherwise."""
        given = {
            "kind": NAME,
            "queue": "default",
            "owner_id": None,
            "trace_id": "ab" * 16,
            "payload": {},
            "max_attempts": AT_ONCE.max_attempts,
            "next_run_at": utc_now() - timedelta(seconds=1),
            **values,
        }
        async with self.unit_of_work.begin() as session:
            return await states.enqueue(session, Job(**given))

    async def claim(self, job_id: int, holder: str = "worker-1") -> Job | None:
        async with self.unit_of_work.begin() as session:
            return await states.claim(session, job_id, holder)

    async def claimed(self, **values: Any) -> Job:
        """A job that was handed over and is running."""
        waiting = await self.enqueue(**values)
        await self._empty_outbox(waiting.id)
        job = await self.claim(waiting.id)
        assert job is not None
        return job

    async def do[R](self, step: "Callable[[AsyncSession, Job], Awaitable[R]]", job_id: int) -> R:
        """A step of `states` that wants the job locked."""
        async with self.unit_of_work.begin() as session:
            return await step(session, await session.get_one(Job, job_id, with_for_update=True))

    async def write(self, step: "Callable[[AsyncSession], Awaitable[object]]") -> Any:
        async with self.unit_of_work.begin() as session:
            return await step(session)

    async def job(self, job_id: int) -> Job:
        async with self.unit_of_work.read() as session:
            return await session.get_one(Job, job_id)

    async def status(self, job_id: int) -> str:
        return (await self.job(job_id)).status

    async def history(self, job_id: int) -> list[tuple[str, int]]:
        """(status, attempt) of each event: numbered without a gap, up to what the job says."""
        async with self.unit_of_work.read() as session:
            rows = (
                await session.scalars(
                    select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.sequence)
                )
            ).all()
        assert [row.sequence for row in rows] == list(range(1, (await self.job(job_id)).events + 1))
        return [(row.status, row.attempt) for row in rows]

    async def outbox(self) -> Sequence[int]:
        async with self.unit_of_work.read() as session:
            return (
                await session.scalars(select(OutboxEntry.job_id).order_by(OutboxEntry.job_id))
            ).all()

    async def set(self, job_id: int, **values: object) -> None:
        async with self.unit_of_work.begin() as session:
            await session.execute(update(Job).where(Job.id == job_id).values(**values))

    async def make_due(self, job_id: int) -> None:
        """As if its rest were over."""
        await self._empty_outbox(job_id)
        async with self.unit_of_work.begin() as session:
            await session.execute(update(Job).where(Job.id == job_id).values(next_run_at=LONG_AGO))
            session.add(OutboxEntry(due_at=LONG_AGO, job_id=job_id, queue="default"))

    async def _empty_outbox(self, job_id: int) -> None:
        async with self.unit_of_work.begin() as session:
            await session.execute(delete(OutboxEntry).where(OutboxEntry.job_id == job_id))

    async def abandon(self, job_id: int) -> None:
        """As if the worker had died a while ago."""
        await self.set(job_id, claim_expires_at=LONG_AGO)

    async def effects(self) -> int:
        """How often `effect` was committed."""
        async with self.unit_of_work.read() as session:
            return await session.scalar(select(func.count()).select_from(AuditEvent)) or 0

    def runner(self, work: Work, **options: Any) -> Runner:
        """What executes jobs of `NAME` by this function."""
        kind = Kind(**{"name": NAME, "payload": Nothing, "run": work, "retry": AT_ONCE, **options})
        return Runner(self.unit_of_work, {NAME: kind}, cast("Services", None))

    def services(self, redis: "Redis | None" = None, **settings: object) -> "Services":
        """The services of the house under these settings, as one process has them."""
        changed = self.settings.model_copy(update=settings)
        redis = redis or create_client(changed, connections=1, timeout=1)
        return assemble_services(changed, self.unit_of_work, redis)

    async def execute(self, kind: str, services: "Services", **payload: object) -> Job:
        """A job of one of the service's own kinds, and what came of its first attempt."""
        job = await self.enqueue(kind=kind, payload=payload)
        return await self.execute_again(job.id, services)

    async def execute_again(self, job_id: int, services: "Services") -> Job:
        await Runner(self.unit_of_work, KINDS, services).run(job_id)
        return await self.job(job_id)

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.unit_of_work, self.publish, asyncio.Event())

    async def publish(self, jobs: Sequence[tuple[int, str]]) -> None:
        self.published += [job_id for job_id, _ in jobs]


async def effect(session: "AsyncSession") -> None:
    """Something in the database that nothing but the engine keeps from happening twice."""
    await audit.record(session, OPERATOR, "test.effect", ("job", 1))


async def complete_with_effect(execution: Execution[Nothing]) -> None:
    async with execution.complete(None) as session:
        await effect(session)


QUEUED, RUNNING, SUCCEEDED = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED
FAILED, CANCELLED, DEAD = JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.DEAD
