from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.clock import utc_now
from internal.dao.database_time import database_now
from internal.models.outbox_entry import OutboxEntry


class OutboxEntryDAO:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, job_id: int, queue: str, due_at: datetime) -> None:
        self._session.add(OutboxEntry(job_id=job_id, queue=queue, due_at=due_at))

    async def lock_due(self, limit: int) -> Sequence[OutboxEntry]:
        """The entries that are due, oldest first, without those that another replica has."""
        statement = (
            select(OutboxEntry)
            .where(OutboxEntry.due_at <= database_now())
            .order_by(OutboxEntry.due_at, OutboxEntry.job_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.scalars(statement)).all()

    async def remove(self, entries: Sequence[OutboxEntry]) -> None:
        """Each by its key: a list of keys makes MariaDB scan a short table, past others' locks."""
        for entry in entries:
            await self._session.delete(entry)
        await self._session.flush()

    async def remove_of(self, job_id: int, due_at: datetime) -> None:
        """Unless a dispatcher has it: that one wants the job, and takes the entry out itself.

        To wait for it, with the job locked, would be a deadlock.
        """
        statement = (
            select(OutboxEntry)
            .where(OutboxEntry.due_at == due_at, OutboxEntry.job_id == job_id)
            .with_for_update(skip_locked=True)
        )
        if (entry := await self._session.scalar(statement)) is not None:
            await self.remove([entry])

    async def lag_seconds(self) -> float:
        """How long the oldest entry that is due has been waiting; 0 where there is none."""
        statement = select(func.min(OutboxEntry.due_at)).where(OutboxEntry.due_at <= database_now())
        oldest: datetime | None = await self._session.scalar(statement)
        return max((utc_now() - oldest).total_seconds(), 0.0) if oldest else 0.0
