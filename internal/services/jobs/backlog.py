"""How many jobs wait, and for how long the oldest has: told by whoever leads."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.jobs import JobDAO
from internal.dao.outbox_entries import OutboxEntryDAO
from internal.infra.metrics import OTHER, Metrics

_DEPTH, _LAG = "job_queue_depth", "outbox_lag_seconds"


class Backlog:
    """Args: kinds: those that this release knows; all others are counted as one."""

    def __init__(self, metrics: Metrics, kinds: Collection[str]) -> None:
        self._metrics = metrics
        self._kinds = kinds

    async def tell(self, session: AsyncSession, _scheduled_at: datetime) -> None:
        counts = await JobDAO(session).counts()
        lag = await OutboxEntryDAO(session).lag_seconds()
        depth: Counter[tuple[str, ...]] = Counter()
        for kind, status, number in counts:
            depth[kind if kind in self._kinds else OTHER, status] += number
        self._metrics.set_all(_DEPTH, depth)
        self._metrics.set_all(_LAG, {(): lag})

    def forget(self) -> None:
        """Somebody else may lead now, and tells."""
        self._metrics.set_all(_DEPTH, {})
        self._metrics.set_all(_LAG, {})
