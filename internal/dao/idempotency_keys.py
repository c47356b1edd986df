from sqlalchemy import select

from internal.dao.base import BaseDAO
from internal.models.idempotency_key import IdempotencyKey


class IdempotencyKeyDAO(BaseDAO[IdempotencyKey]):
    model = IdempotencyKey

    async def lock(self, request_hash: str) -> IdempotencyKey | None:
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
