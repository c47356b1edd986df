"""One process of all leads, by a lease; it stops by itself when it cannot renew it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta

from loguru import logger

from internal.infra.background import is_wanted, resting
from internal.infra.outage import Outage
from internal.services.leases import HeldLease, Leases, new_holder

LASTING = timedelta(seconds=10)
INTERVAL_SECONDS = 3.0
# How long a clean stop tries to give the lease back: without it, the next leader waits for its end.
RELEASE_SECONDS = 2.0

_log = logger.bind(logger="leader")

# Entered while this process leads. Gets the lease that its work is done under, and what it calls
# when it has learnt that the lease is lost.
type Lead = Callable[[HeldLease, Callable[[], None]], AbstractAsyncContextManager[None]]


class Leader:
    """Tries to lead, and leads, until it is cancelled.

    It trusts the lease for as long as it lasts on this process's own monotonic clock, counted from
    before it was asked for: never longer than on the database's.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        lead: Lead,
        *,
        lasting: timedelta = LASTING,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._leases = leases
        self._name = name
        self._lead = lead
        self._lasting = lasting
        self._interval = interval
        self._holder = new_holder()
        self._outage = Outage(_log, "leases can be had again")
        self.is_leader = False

    async def run(self) -> None:
        while is_wanted():
            try:
                await self._try_to_lead()
            except Exception as error:  # noqa: BLE001 - the database is away, or has no tables yet
                self._complain(error)
            with resting():
                await asyncio.sleep(self._interval)

    async def _try_to_lead(self) -> None:
        expires = asyncio.get_running_loop().time() + self._lasting.total_seconds()
        async with asyncio.timeout_at(expires):
            lease = await self._leases.acquire(self._name, self._holder, self._lasting)
        self._outage.end()
        if lease is not None:
            await self._lead_until_lost(lease, expires)

    async def _lead_until_lost(self, lease: HeldLease, expires: float) -> None:
        _log.bind(fence=lease.fence).info("leading: {}", self._name)
        self.is_leader = True
        is_lost = asyncio.Event()
        try:
            async with self._lead(lease, is_lost.set):
                await self._renew_until_lost(lease, expires, is_lost)
        except asyncio.CancelledError:
            await self._release(lease)
            raise
        finally:
            self.is_leader = False
            _log.bind(fence=lease.fence).info("not leading any more: {}", self._name)

    async def _renew_until_lost(
        self, lease: HeldLease, expires: float, is_lost: asyncio.Event
    ) -> None:
        """Returns when the lease is lost, or may be by the clock of this process."""
        loop = asyncio.get_running_loop()
        while loop.time() < expires:
            with suppress(TimeoutError), resting():
                async with asyncio.timeout_at(min(loop.time() + self._interval, expires)):
                    await is_lost.wait()
            if is_lost.is_set():
                return
            asked = loop.time()
            try:
                async with asyncio.timeout_at(expires):
                    if not await self._leases.renew(lease, self._lasting):
                        return
            except Exception as error:  # noqa: BLE001 - it may come back before the lease ends
                self._complain(error)
            else:
                self._outage.end()
                expires = asked + self._lasting.total_seconds()

    async def _release(self, lease: HeldLease) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._leases.release(lease)
        except Exception as error:  # noqa: BLE001 - it expires by itself
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        reason = str(getattr(error, "orig", None) or error) or "no answer"
        self._outage.begin(f"no lease: {type(error).__name__}: {reason}")
