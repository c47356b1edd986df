"""Following jobs as they happen: one look a second at all that are followed here."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from itertools import batched

from loguru import logger

from internal.core.errors import DependencyUnavailable
from internal.core.job_status import JobStatus
from internal.infra.database import DATABASE_AWAY
from internal.models.job_event import JobEvent
from internal.services.jobs.service import Jobs

POLL_SECONDS = 1.0
AT_ONCE = 500
MAX_FOLLOWERS = 4_000
# Then the client comes back, through the door: whoever may not see the job any more stays out.
LONGEST_SECONDS = 600.0

_log = logger.bind(logger="jobs")


class Follower:
    """One stream: which job, and how far it has got. It holds nothing else while it waits."""

    __slots__ = ("job_id", "seen", "woken")

    def __init__(self, job_id: int, seen: int) -> None:
        self.job_id = job_id
        self.seen = seen
        self.woken = asyncio.Event()


class JobWatch:
    """Wakes the followers of jobs that have new events.

    Args:
        is_draining: whether this replica is being stopped: then nothing is followed any more.
    """

    def __init__(self, jobs: Jobs, is_draining: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._is_draining = is_draining
        self._followers: set[Follower] = set()

    async def follow(self, job_id: int, after: int) -> AsyncGenerator[JobEvent]:
        """The events of a job after this one, up to its end.

        It may stop before: when the replica is stopped, or after `LONGEST_SECONDS`. The next event
        is read when the one before it was taken, so that a slow reader has nothing pile up.

        Raises:
            DependencyUnavailable: too many are followed here.
        """
        until = asyncio.get_running_loop().time() + LONGEST_SECONDS
        with self._following(job_id, after) as follower:
            while True:
                events = await self._jobs.events(job_id, follower.seen)
                for event in events:
                    follower.seen = event.sequence
                    yield event
                if events and JobStatus(events[-1].status).is_final:
                    return
                try:
                    async with asyncio.timeout_at(until):
                        await follower.woken.wait()
                except TimeoutError:
                    return
                if self._is_draining():
                    return
                follower.woken.clear()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        was_away = False
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._is_draining():
                for follower in self._followers:
                    follower.woken.set()
                continue
            try:
                await self._look()
                was_away = False
            except DATABASE_AWAY as error:
                if not was_away:
                    _log.warning("streams of job events wait: {}", type(error).__name__)
                was_away = True

    async def _look(self) -> None:
        for some in batched(list(self._followers), AT_ONCE):
            counts = await self._jobs.event_counts({follower.job_id for follower in some})
            for follower in some:
                # A job that is not there any more ends at the next read.
                if counts.get(follower.job_id, follower.seen) > follower.seen:
                    follower.woken.set()

    @contextmanager
    def _following(self, job_id: int, seen: int) -> Generator[Follower]:
        if len(self._followers) >= MAX_FOLLOWERS or self._is_draining():
            raise DependencyUnavailable
        follower = Follower(job_id, seen)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
