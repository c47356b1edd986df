"""Leases: one holder at a time, a fence that grows at every takeover. Contract §6."""

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.leases import LeaseDAO
from internal.infra.database import is_lock_refused
from internal.services.unit_of_work import UnitOfWork


def new_holder() -> str:
    """A name for one that holds leases or claims: which host and process, and no other's."""
    return f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"


class LeaseLost(Exception):
    """The lease has expired, or is somebody else's by now."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as it was taken."""

    name: str
    holder: str
    fence: int
    ceiling_ms: int


class Leases:
    """Takes, keeps and gives back leases."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def acquire(self, name: str, holder: str, lasting: timedelta) -> HeldLease | None:
        """The lease, or None where somebody holds it or is taking it at this moment."""
        try:
            async with self._unit_of_work.begin() as session:
                leases = LeaseDAO(session)
                if not await leases.take_over(name, holder, lasting):
                    if await leases.get(name) is not None:
                        return None
                    await leases.insert(name, holder, lasting)
                taken = await leases.get(name)
        except IntegrityError:
            return None
        except OperationalError as error:
            if is_lock_refused(error):
                return None
            raise
        assert taken is not None  # noqa: S101 - it was written in this transaction
        return HeldLease(name, holder, taken.fence, taken.ceiling_ms)

    async def renew(
        self, lease: HeldLease, lasting: timedelta, ceiling_ms: int | None = None
    ) -> bool:
        """Lets it last longer; False where it is lost, and then for good."""
        async with self._unit_of_work.begin() as session:
            return await LeaseDAO(session).prolong(lease.name, lease.fence, lasting, ceiling_ms)

    async def release(self, lease: HeldLease, ceiling_ms: int | None = None) -> None:
        """Gives it back at once; nothing happens where it is lost already."""
        await self.renew(lease, timedelta(), ceiling_ms)

    async def require(self, session: AsyncSession, lease: HeldLease) -> None:
        """For work under the lease, in its own transaction: nobody takes it over meanwhile.

        Raises:
            LeaseLost
        """
        if not await LeaseDAO(session).lock_held(lease.name, lease.fence):
            raise LeaseLost(lease.name)

    async def overview(self, prefix: str) -> dict[str, tuple[bool, int]]:
        """(whether it is held, ceiling) by the names that start so."""
        async with self._unit_of_work.read() as session:
            rows = await LeaseDAO(session).starting_with(prefix)
        return {name: (is_held, ceiling_ms) for name, is_held, ceiling_ms in rows}
