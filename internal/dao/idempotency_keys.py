from datetime import datetime

from sqlalchemy import select

from internal.core.snowflake import first_id_at
from internal.dao.base import BaseDAO
from internal.models.idempotency_key import IdempotencyKey


class IdempotencyKeyDAO(BaseDAO[IdempotencyKey]):
    model = IdempotencyKey

    async def lock_by_hash(self, request_hash: str) -> IdempotencyKey | None:
        """The row, locked until the transaction ends; None if nobody has committed one.

        Raises:
            OperationalError: another transaction is about to write it: this one does not wait.
        """
        statement = (
            select(IdempotencyKey)
            .where(IdempotencyKey.request_hash == request_hash)
            .with_for_update(nowait=True)
        )
        row: IdempotencyKey | None = await self._session.scalar(statement)
        return row

    async def forget(self, row: IdempotencyKey) -> None:
        await self._session.delete(row)
        await self._session.flush()

    async def purge(self, expired_before: datetime, limit: int) -> int:
        """Deletes the oldest of those that expired before then; returns how many."""
        statement = (
            select(IdempotencyKey.id)
            # By the primary key: no row is younger than its id.
            .where(
                IdempotencyKey.id < first_id_at(expired_before),
                IdempotencyKey.expires_at < expired_before,
            )
            .order_by(IdempotencyKey.id)
            .limit(limit)
        )
        return await self._purge(statement)
