"""Jobs moved from status to status by the test's own hand, as a worker would."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.clock import utc_now
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.jobs.states import Failure
from tests.security.accounts import Replica, make_job


class Driver:
    """One job of `user`'s, which is due tomorrow, so that nobody else executes it."""

    def __init__(self, service: Replica, job_id: int) -> None:
        self.job_id = job_id
        self._service = service

    @property
    def path(self) -> str:
        return f"/v1/jobs/{self.job_id}"

    async def start(self) -> Job:
        await self._service.set_all(
            "jobs", lambda table: table.c.id == self.job_id, next_run_at=utc_now()
        )
        async with self._service.services.unit_of_work.begin() as session:
            job = await states.claim(session, self.job_id, "a worker")
        assert job is not None
        return job

    async def succeed(self) -> None:
        job = await self.start()
        await self._write(lambda session: states.succeed(session, job, {"done": True}))

    async def fail(self) -> None:
        job = await self.start()
        failure = Failure("cannot be done", is_permanent=True)
        await self._write(lambda session: states.fail(session, job, failure, RetryPolicy()))

    async def _write(self, work: Callable[[AsyncSession], Awaitable[object]]) -> None:
        async with self._service.services.unit_of_work.begin() as session:
            await work(session)


async def waiting_job(service: Replica, owner: str = "user") -> Driver:
    return Driver(service, await make_job(service.services, service.populated.ids[owner]))
