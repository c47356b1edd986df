"""Who is watching which job, and one question a second on behalf of them all.

A stream that idles is one small object here: it holds no session, no connection and no timer of
ours. Events are read from the database when those before them have been sent, so that a slow reader
keeps nothing of them in memory.
"""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import batched

from loguru import logger

from internal.core.caller import Caller
from internal.core.errors import DependencyUnavailable, Text, TooManyRequests
from internal.core.job_status import JobStatus
from internal.infra.background import is_wanted, resting
from internal.infra.database import DATABASE_AWAY, is_away
from internal.infra.outage import Outage
from internal.infra.single_flight import SingleFlight
from internal.models.job import Job
from internal.models.job_event import JobEvent
from internal.services.jobs.service import EVENTS_AT_ONCE, Jobs

POLL_SECONDS = 1.0
JOBS_A_QUERY = 500
# Then the client comes again and passes the door again: who may not see it any more is out.
LIFETIME_SECONDS = 600.0
MAX_STREAMS = 2000
MAX_STREAMS_PER_CALLER = 100
# Of all streams at once: many that wake together must not take the pool from everybody else.
READERS = 4

_log = logger.bind(logger="jobs")

# A job's id, and the number of the last event that a reader has had.
type Place = tuple[int, int]


class TooManyStreams(DependencyUnavailable):
    message = Text("this replica has too many open streams", "该副本打开的事件流过多")


class TooManyOwnStreams(TooManyRequests):
    message = Text("you have too many open streams", "您打开的事件流过多")


class JobStream:
    """One reader's place in the events of one job.

    Args:
        position: the number of the last event that the reader has had.
        until: when it is to end, on the monotonic clock.

    Attributes:
        is_cut: it has ended, and there may be more events.
    """

    __slots__ = (
        *("_is_over", "_watch", "_woken"),
        *("caller_key", "is_cut", "job_id", "position", "until"),
    )

    def __init__(
        self, watch: "JobWatch", job_id: int, position: int, caller_key: str, until: float
    ) -> None:
        self._watch = watch
        self._woken = asyncio.Event()
        self._woken.set()
        self._is_over = False
        self.is_cut = False
        self.job_id = job_id
        self.position = position
        self.caller_key = caller_key
        self.until = until

    async def next_events(self) -> Sequence[JobEvent]:
        """What has happened since, as soon as something has; nothing where the stream is over."""
        while is_wanted():
            await self._woken.wait()
            self._woken.clear()
            if self._is_over:
                return ()
            if events := await self._watch.read(self):
                self._note(events[-1], is_newest=len(events) < EVENTS_AT_ONCE)
                return events
        return ()

    def _note(self, last: JobEvent, *, is_newest: bool) -> None:
        self.position = last.sequence
        # A final status ends the stream, unless the job was put back after it.
        if is_newest and JobStatus(last.status).is_final:
            self.finish()
        elif not is_newest:
            self.wake()

    def wake(self) -> None:
        self._woken.set()

    def finish(self) -> None:
        """There is nothing more to come."""
        self._is_over = True
        self._woken.set()

    def cut(self) -> None:
        """Ends it before its end, if that has not come yet."""
        self.is_cut = not self._is_over
        self._is_over = True
        self._woken.set()


class JobWatch:
    """The streams of this process."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._streams: set[JobStream] = set()
        self._watched = asyncio.Event()
        self._readers = asyncio.Semaphore(READERS)
        self._readings = SingleFlight[Place, Sequence[JobEvent]]()
        self._is_closed = False
        self._outage = Outage(_log, "job streams go on")

    def __len__(self) -> int:
        return len(self._streams)

    @contextmanager
    def stream(self, caller: Caller, job: Job, after: int) -> Generator[JobStream]:
        """A stream of a job that the caller was shown, for the length of the block.

        Args:
            after: the number of the last event that they have had; 0 for none.

        Raises:
            TooManyStreams, TooManyOwnStreams
        """
        if len(self._streams) >= MAX_STREAMS:
            raise TooManyStreams(headers={"Retry-After": "10"})
        own = sum(stream.caller_key == caller.key for stream in self._streams)
        if own >= MAX_STREAMS_PER_CALLER:
            raise TooManyOwnStreams(headers={"Retry-After": "10"})
        until = time.monotonic() + LIFETIME_SECONDS
        stream = JobStream(self, job.id, min(after, job.events), caller.key, until)
        if self._is_closed:
            stream.cut()
        self._streams.add(stream)
        self._watched.set()
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._watched.clear()

    def close(self) -> None:
        """Ends every stream, and from now on each new one at its start."""
        self._is_closed = True
        for stream in self._streams:
            stream.cut()

    async def run(self) -> None:
        """Looks for news every second while somebody watches, until it is cancelled."""
        while is_wanted():
            with resting():
                await self._watched.wait()
            streams = list(self._streams)
            self._wake(streams, await self._counts(streams))
            with resting():
                await asyncio.sleep(POLL_SECONDS)

    async def read(self, stream: JobStream) -> Sequence[JobEvent]:
        """What comes after the stream's position; nothing while the database is away.

        All who stand at one place of a job are told by one reading. One that has begun before the
        newest event may miss it; then `run` finds the stream behind, and wakes it again.
        """
        place = stream.job_id, stream.position
        return await self._readings.join(place, lambda: self._read(place))

    async def _read(self, place: Place) -> Sequence[JobEvent]:
        async with self._readers:
            try:
                return await self._jobs.events(*place)
            except DATABASE_AWAY as error:
                if not is_away(error):
                    raise
                return ()  # the next answer of the database to `run` wakes the stream again

    async def _counts(self, streams: Sequence[JobStream]) -> dict[int, int] | None:
        """How many events each watched job has; None: that cannot be said now."""
        counts: dict[int, int] = {}
        try:
            for job_ids in batched({stream.job_id for stream in streams}, JOBS_A_QUERY):
                counts |= await self._jobs.event_counts(job_ids)
        except Exception as error:  # noqa: BLE001 - whatever it is: the streams wait, open, until it is over
            reason = str(error).partition("\n")[0]
            self._outage.begin(f"job streams wait: {type(error).__name__}: {reason}")
            return None
        self._outage.end()
        return counts

    @staticmethod
    def _wake(streams: Sequence[JobStream], counts: dict[int, int] | None) -> None:
        now = time.monotonic()
        for stream in streams:
            if stream.until <= now or (counts is not None and stream.job_id not in counts):
                stream.cut()  # its time is up, or the job was deleted
            elif counts is not None and counts[stream.job_id] > stream.position:
                stream.wake()
