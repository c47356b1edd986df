"""The snowflake node of this process: a lease, whose ceiling no id ever passes. Contract §6."""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from internal.core.snowflake import MAX_NODE, Snowflake
from internal.infra.background import running
from internal.infra.database import DATABASE_AWAY
from internal.services.leases import HeldLease, Leases

PREFIX = "id-node:"
TRIES = 16
RELEASE_SECONDS = 2.0

_log = logger.bind(logger="id nodes")


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms nodes are leased.

    Args:
        nodes: how many there are.
        lasting: of a lease.
        headroom: of the ceiling before the clock: how long ids go on without the database.
        interval: between renewals.
    """

    nodes: int = MAX_NODE + 1
    lasting: timedelta = timedelta(seconds=60)
    headroom: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(seconds=10)

    @property
    def headroom_ms(self) -> int:
        return self.headroom // timedelta(milliseconds=1)


class IdNode:
    """Keeps a generator on a leased node."""

    def __init__(self, leases: Leases, ids: Snowflake, terms: Terms = Terms()) -> None:
        self._leases = leases
        self._ids = ids
        self._terms = terms
        self._holder = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease: HeldLease | None = None

    async def acquire(self) -> bool:
        """Takes a node and lets the generator have it; False where none is free.

        A node whose ceiling is behind the clock, so that ids can be had at once; one by chance, so
        that processes which start together do not all try the same.
        """
        now = self._ids.now_ms
        free = await self._free_nodes(now)
        for node in random.sample(free, min(TRIES, len(free))):
            lease = await self._leases.acquire(f"{PREFIX}{node}", self._holder, self._terms.lasting)
            if lease is None:
                continue
            ceiling_ms = max(now, lease.ceiling_ms) + self._terms.headroom_ms
            if await self._leases.renew(lease, self._terms.lasting, ceiling_ms):
                # Only now: an id may be given as soon as its ceiling is committed, not before.
                self._lease = lease
                self._ids.assume(node, floor_ms=lease.ceiling_ms, ceiling_ms=ceiling_ms)
                _log.bind(node=node, fence=lease.fence).info("ids of node {}", node)
                return True
        return False

    async def _free_nodes(self, now_ms: int) -> list[int]:
        known = await self._leases.overview(PREFIX)
        leases = {
            node: known.get(f"{PREFIX}{node}", (False, 0)) for node in range(self._terms.nodes)
        }
        return [
            node
            for node, (is_held, ceiling_ms) in leases.items()
            if not is_held and ceiling_ms < now_ms
        ]

    async def keep(self) -> None:
        """Renews the lease until it is cancelled; takes another node where it is lost."""
        while True:
            await asyncio.sleep(self._terms.interval.total_seconds())
            try:
                await self._keep_once()
            except (DBAPIError, PoolTimeout) as error:
                # Ids go on up to the ceiling; after that, they are refused.
                _log.warning("the id node was not renewed: {}", type(error).__name__)

    async def release(self) -> None:
        """Gives the node back; the next owner starts right above the last id."""
        if self._lease is not None:
            self._ids.forget_node()
            ceiling_ms = max(self._ids.last_ms, self._lease.ceiling_ms)
            # A database that is frozen does not hold up a stop: the lease ends by itself.
            with suppress(*DATABASE_AWAY, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._leases.release(self._lease, ceiling_ms)

    def lose(self) -> None:
        """Gives no more ids of this node; the next renewal takes another one."""
        self._ids.forget_node()
        self._lease = None

    async def _keep_once(self) -> None:
        if self._lease is not None:
            ceiling_ms = max(self._ids.now_ms, self._ids.last_ms) + self._terms.headroom_ms
            if await self._leases.renew(self._lease, self._terms.lasting, ceiling_ms):
                self._ids.extend(ceiling_ms)
                return
            _log.warning("the id node was lost")
            self.lose()
        if not await self.acquire():
            _log.error("no id node is free")


@asynccontextmanager
async def open_id_node(leases: Leases, ids: Snowflake) -> AsyncGenerator[None]:
    """A leased node for a generator that has none, for as long as the block.

    Where the database has no table of leases yet, the replica starts, is not ready, and takes a
    node once there is one.
    """
    if ids.node is not None:
        yield
        return
    node = IdNode(leases, ids)
    try:
        await node.acquire()
    except DBAPIError as error:
        _log.warning("no id node yet: {}", error.orig)
    async with running(node.keep()):
        yield
    await node.release()
