from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.database_time import database_now
from internal.models.lease import Lease


class LeaseDAO:
    """On the database's clock throughout: the machines' own may differ."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, name: str) -> Lease | None:
        return await self._session.get(Lease, name, populate_existing=True)

    async def insert(self, name: str, holder: str, lasting: timedelta) -> None:
        """Raises IntegrityError: somebody else has inserted it."""
        expires_at: Any = database_now(lasting)
        self._session.add(
            Lease(name=name, holder=holder, fence=1, expires_at=expires_at, ceiling_ms=0)
        )
        await self._session.flush()

    async def take_over(self, name: str, holder: str, lasting: timedelta) -> bool:
        """Takes an expired lease; False where it is held."""
        return await self._change(
            update(Lease)
            .where(Lease.name == name, Lease.expires_at <= database_now())
            .values(holder=holder, fence=Lease.fence + 1, expires_at=database_now(lasting))
        )

    async def prolong(
        self, name: str, fence: int, lasting: timedelta, ceiling_ms: int | None
    ) -> bool:
        """Lets a lease that is still held last longer; False where it is not held any more."""
        ceiling = {} if ceiling_ms is None else {"ceiling_ms": ceiling_ms}
        return await self._change(
            update(Lease)
            .where(Lease.name == name, Lease.fence == fence, Lease.expires_at > database_now())
            .values(expires_at=database_now(lasting), **ceiling)
        )

    async def lock_held(self, name: str, fence: int) -> bool:
        """Whether it is held under this fence; nobody takes it over until the transaction ends."""
        statement = (
            select(Lease.name)
            .where(Lease.name == name, Lease.fence == fence, Lease.expires_at > database_now())
            .with_for_update()
        )
        return await self._session.scalar(statement) is not None

    async def holder(self, name: str) -> str | None:
        """Who holds it now, if anybody does."""
        statement = select(Lease.holder).where(
            Lease.name == name, Lease.expires_at > database_now()
        )
        holder: str | None = await self._session.scalar(statement)
        return holder

    async def starting_with(self, prefix: str) -> Sequence[tuple[str, bool, int]]:
        """(name, whether it is held, ceiling) of each."""
        statement = select(Lease.name, Lease.expires_at > database_now(), Lease.ceiling_ms).where(
            Lease.name.startswith(prefix, autoescape=True)
        )
        return (await self._session.execute(statement)).all()

    async def _change(self, statement: Update) -> bool:
        result = await self._session.execute(statement.execution_options(synchronize_session=False))
        return bool(cast("CursorResult[object]", result).rowcount)
