from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.clock import utc_now
from internal.core.job_status import JobStatus
from internal.models.job_event import JobEvent


class JobEventDAO:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(
        self,
        job_id: int,
        sequence: int,
        status: JobStatus,
        attempt: int,
        message: str | None = None,
    ) -> None:
        self._session.add(
            JobEvent(
                job_id=job_id,
                sequence=sequence,
                status=status,
                attempt=attempt,
                at=utc_now(),
                message=message,
            )
        )

    async def after(self, job_id: int, sequence: int, limit: int) -> Sequence[JobEvent]:
        statement = (
            select(JobEvent)
            .where(JobEvent.job_id == job_id, JobEvent.sequence > sequence)
            .order_by(JobEvent.sequence)
            .limit(limit)
        )
        return (await self._session.scalars(statement)).all()
