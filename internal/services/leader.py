"""One process of all leads, by a lease; it stops by itself when it cannot renew it."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import timedelta

from loguru import logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from internal.services.leases import HeldLease, Leases

LASTING = timedelta(seconds=10)
INTERVAL_SECONDS = 3.0

_log = logger.bind(logger="leader")


class Leader:
    """Tries to lead, and leads, until it is cancelled.

    Args:
        lead: entered while this process leads; gets the lease that its work is done under.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        lead: Callable[[HeldLease], AbstractContextManager[None]],
        lasting: timedelta = LASTING,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._leases = leases
        self._name = name
        self._lead = lead
        self._lasting = lasting
        self._interval = interval
        self._holder = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.is_leader = False

    async def run(self) -> None:
        complained = False
        while True:
            try:
                started = asyncio.get_running_loop().time()
                lease = await self._leases.acquire(self._name, self._holder, self._lasting)
            except (DBAPIError, PoolTimeout) as error:
                if not complained:
                    _log.warning("cannot try to lead: {}", type(error).__name__)
                complained, lease = True, None
            else:
                complained = False
            if lease is not None:
                await self._lead_until_lost(lease, started)
            await asyncio.sleep(self._interval)

    async def _lead_until_lost(self, lease: HeldLease, started: float) -> None:
        _log.bind(fence=lease.fence).info("leading {}", self._name)
        self.is_leader = True
        try:
            with self._lead(lease):
                await self._renew_until_lost(lease, started)
        except asyncio.CancelledError:
            with suppress(DBAPIError, PoolTimeout):
                await self._leases.release(lease)
            raise
        finally:
            self.is_leader = False
            _log.bind(fence=lease.fence).info("not leading {} any more", self._name)

    async def _renew_until_lost(self, lease: HeldLease, renewed: float) -> None:
        """Returns when the lease is lost, or may be by the clock of this process."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval)
            started = loop.time()
            try:
                async with asyncio.timeout_at(renewed + self._lasting.total_seconds()):
                    if not await self._leases.renew(lease, self._lasting):
                        return
                renewed = started
            except TimeoutError:
                return
            except (DBAPIError, PoolTimeout) as error:
                _log.warning("the lease was not renewed: {}", type(error).__name__)
                if loop.time() >= renewed + self._lasting.total_seconds():
                    return
