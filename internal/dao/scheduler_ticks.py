from datetime import datetime
from typing import cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.clock import utc_now
from internal.models.scheduler_tick import SchedulerTick


class SchedulerTickDAO:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def is_known(self, job: str, scheduled_at: datetime) -> bool:
        return await self._session.get(SchedulerTick, (scheduled_at, job)) is not None

    async def add(self, job: str, scheduled_at: datetime, fence: int) -> None:
        self._session.add(
            SchedulerTick(job=job, scheduled_at=scheduled_at, fence=fence, ran_at=utc_now())
        )
        await self._session.flush()

    async def purge(self, scheduled_before: datetime, limit: int) -> int:
        """Deletes the oldest, about as many as the limit; returns how many."""
        at = SchedulerTick.scheduled_at
        beyond = await self._session.scalar(
            select(at).where(at < scheduled_before).order_by(at).offset(limit).limit(1)
        )
        result = await self._session.execute(
            delete(SchedulerTick)
            .where(at < (beyond or scheduled_before))
            .execution_options(synchronize_session=False)
        )
        return cast("CursorResult[object]", result).rowcount
