"""How many jobs wait, and for how long the oldest has: told by whoever leads."""

import asyncio
from collections import Counter
from collections.abc import Collection

from loguru import logger

from internal.core.clock import utc_now
from internal.dao.jobs import JobDAO
from internal.dao.outbox_entries import OutboxEntryDAO
from internal.infra.metrics import OTHER, Metrics
from internal.services.unit_of_work import UnitOfWork

EVERY_SECONDS = 15.0

_DEPTH, _LAG = "job_queue_depth", "outbox_lag_seconds"

_log = logger.bind(logger="metrics")


class Backlog:
    """Args: kinds: those that this release knows; all others are counted as one."""

    def __init__(self, unit_of_work: UnitOfWork, metrics: Metrics, kinds: Collection[str]) -> None:
        self._unit_of_work = unit_of_work
        self._metrics = metrics
        self._kinds = kinds

    async def tell(self) -> None:
        """Reads the figures and sets the gauges."""
        async with self._unit_of_work.read() as session:
            counts = await JobDAO(session).counts()
            oldest = await OutboxEntryDAO(session).oldest_due()
        depth: Counter[tuple[str, ...]] = Counter()
        for kind, status, number in counts:
            depth[kind if kind in self._kinds else OTHER, status] += number
        lag = (utc_now() - oldest).total_seconds() if oldest else 0.0
        self._metrics.set_all(_DEPTH, depth)
        self._metrics.set_all(_LAG, {(): max(lag, 0.0)})

    async def run(self) -> None:
        """Tells until it is cancelled; what is not known any more is not told."""
        try:
            while True:
                try:
                    await self.tell()
                except Exception as error:  # noqa: BLE001 - database away: no reason to stop leading
                    _log.warning("the backlog is not known: {}", type(error).__name__)
                    self._forget()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            self._forget()

    def _forget(self) -> None:
        self._metrics.set_all(_DEPTH, {})
        self._metrics.set_all(_LAG, {})
