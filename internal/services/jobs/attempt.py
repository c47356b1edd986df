"""One attempt at a claimed job: the claim is kept alive beside the work, and ends with it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

import anyio
from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from internal.infra.background import is_wanted
from internal.infra.database import DATABASE_AWAY
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.jobs.kind import TryAgain
from internal.services.jobs.patience import outlasting
from internal.services.jobs.states import CLAIM_LASTS
from internal.services.unit_of_work import UnitOfWork

HEARTBEAT_SECONDS = 3.0
RECORD_RETRY_SECONDS = 1.0
# Work that ignores its cancellation for so long is left behind: nothing that it writes counts.
UNWIND_SECONDS = 5.0

_log = logger.bind(logger="jobs")


class Interrupted(Enum):
    """Why work was ended before its own end."""

    CANCELLED = auto()
    TIMED_OUT = auto()


class Attempt:
    def __init__(self, unit_of_work: UnitOfWork, job: Job) -> None:
        self._unit_of_work = unit_of_work
        self.job = job
        self.is_complete = False

    @asynccontextmanager
    async def complete(self, result: object = None) -> AsyncGenerator[AsyncSession]:
        """The transaction in which the job succeeds.

        Raises:
            ClaimLost: it is another's by now; nothing is written.
        """
        async with self._unit_of_work.begin(self.job.owner_id) as session:
            await states.succeed(session, self.job, result)
            yield session
        self.is_complete = True

    async def work(self, work: Awaitable[object], seconds: float) -> object | Interrupted:
        """Does the work, unless it is to be cancelled, takes too long, or the claim is lost.

        Raises:
            ClaimLost
            TryAgain: the work says that it was cancelled, and nobody has.
            CancelledError: this call was cancelled; the work has ended.
        """
        working = asyncio.ensure_future(work)
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait(
                {working, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if working.cancelled():
                raise TryAgain("the work was cancelled from within")
            if working.done():
                return working.result()
            return Interrupted.CANCELLED if watching.done() else Interrupted.TIMED_OUT
        finally:
            with anyio.CancelScope(shield=True):
                await _end(working)
                await _end(watching)
            if watching.done() and not watching.cancelled() and not self.is_complete:
                watching.result()  # the claim may be lost

    async def record(self, write: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Writes the outcome; while the database is away, for as long as the claim lasts.

        Raises:
            ClaimLost
        """

        async def once() -> None:
            async with self._unit_of_work.begin(self.job.owner_id) as session:
                await write(session)

        await outlasting(once, at_most=CLAIM_LASTS, rest_seconds=RECORD_RETRY_SECONDS)

    async def _watch(self) -> None:
        """Keeps the claim; returns when the job is to be cancelled."""
        while is_wanted():
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with self._unit_of_work.begin() as session:
                    if await states.prolong(session, self.job):
                        return
            except DATABASE_AWAY as error:
                _log.bind(job_id=self.job.id).warning("no heartbeat: {}", type(error).__name__)


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=UNWIND_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()  # what came of work that was ended is nobody's to ask for
