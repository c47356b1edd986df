from datetime import datetime

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
