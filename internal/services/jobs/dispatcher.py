"""The outbox: what is due is handed to whoever executes it, and then taken out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from loguru import logger

from internal.dao.jobs import JobDAO
from internal.dao.outbox_entries import OutboxEntryDAO
from internal.infra.background import is_wanted, resting
from internal.infra.outage import Outage
from internal.services.unit_of_work import UnitOfWork

BATCH = 100
POLL_SECONDS = 1.0
# After a commit: what is committed meanwhile shares the transaction and the way to the broker.
GATHER_SECONDS = 0.02
# Doubled this often at most: no outage is too long to count.
MAX_DOUBLINGS = 10
LONGEST_REST_SECONDS = 10.0

# Hands jobs (id, queue) over, all or raises; one that was handed over twice is executed once.
type Publish = Callable[[Sequence[tuple[int, str]]], Awaitable[None]]

_log = logger.bind(logger="dispatcher")


class Dispatcher:
    """Hands over what is due. Every replica has one, and none does what another is doing.

    Args:
        committed: set where this process has committed something new; it is then not waited for.
    """

    def __init__(
        self, unit_of_work: UnitOfWork, publish: Publish, committed: asyncio.Event
    ) -> None:
        self._unit_of_work = unit_of_work
        self._publish = publish
        self._committed = committed

    async def dispatch_due(self) -> int:
        """Hands over a batch; returns its size.

        The entries are locked until they are gone, so that a death in between leaves them to be
        handed over again. Raises what `publish` raises; nothing is taken out then.
        """
        async with self._unit_of_work.begin() as session:
            outbox = OutboxEntryDAO(session)
            entries = await outbox.lock_due(BATCH)
            if entries:
                await self._publish([(entry.job_id, entry.queue) for entry in entries])
                await outbox.remove(entries)
                await JobDAO(session).mark_dispatched([entry.job_id for entry in entries])
        return len(entries)

    async def run(self) -> None:
        """Dispatches until it is cancelled. Says once that it cannot, and that it can again."""
        outage, failures = Outage(_log, "jobs are handed over again"), 0
        while is_wanted():
            self._committed.clear()
            try:
                while await self.dispatch_due() == BATCH:
                    pass
            except Exception as error:  # noqa: BLE001 - database or broker away: it goes on later
                failures += 1
                reason = str(error).partition("\n")[0]
                outage.begin(f"jobs wait: {type(error).__name__}: {reason}")
                rest = 0.5 * 2.0 ** min(failures, MAX_DOUBLINGS)
                with resting():
                    await asyncio.sleep(min(rest, LONGEST_REST_SECONDS))
                continue
            failures = 0
            outage.end()
            with suppress(TimeoutError), resting():
                await asyncio.wait_for(self._committed.wait(), POLL_SECONDS)
                await asyncio.sleep(GATHER_SECONDS)
