"""The snowflake node of this process: a lease, whose ceiling no id ever passes. Contract §6."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from internal.core.snowflake import MAX_NODE, Snowflake
from internal.infra.background import is_wanted, resting, running
from internal.infra.outage import Outage
from internal.services.leases import HeldLease, Leases, new_holder

PREFIX = "id-node:"
TRIES = 16
# Twice this, and the interval, fit into the headroom.
PATIENCE_SECONDS = 8.0
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
        retry: the same, after one that failed.
    """

    nodes: int = MAX_NODE + 1
    lasting: timedelta = timedelta(seconds=60)
    headroom: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=1)

    @property
    def headroom_ms(self) -> int:
        return self.headroom // timedelta(milliseconds=1)


class IdNode:
    """Keeps a generator on a leased node."""

    def __init__(self, leases: Leases, ids: Snowflake, terms: Terms = Terms()) -> None:
        self._leases = leases
        self._ids = ids
        self._terms = terms
        self._holder = new_holder()
        self._lease: HeldLease | None = None
        self._outage = Outage(_log, "the id node is leased again")

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
        while is_wanted():
            rest = self._terms.retry if self._outage.is_on else self._terms.interval
            with resting():
                await asyncio.sleep(rest.total_seconds())
            await self.keep_once()

    async def keep_once(self) -> None:
        """Renews the lease or takes a node. Says once that it cannot, and that it can again.

        Where it cannot, ids go on up to the ceiling; after that, they are refused.
        """
        try:
            # No answer at all, as of a connection that the network has forgotten, is a failure too.
            async with asyncio.timeout(PATIENCE_SECONDS):
                is_kept = await self._renew() or await self.acquire()
        except Exception as error:  # noqa: BLE001 - the database is away, or has no tables yet
            reason = getattr(error, "orig", None) or error
            self._complain(f"{type(error).__name__}: {reason}")
            return
        if is_kept:
            self._outage.end()
        else:
            self._complain("none is free")

    async def release(self) -> None:
        """Gives the node back; the next owner starts right above the last id."""
        if self._lease is not None:
            self._ids.forget_node()
            ceiling_ms = max(self._ids.last_ms, self._lease.ceiling_ms)
            # A database that is frozen does not hold up a stop: the lease ends by itself.
            with suppress(DBAPIError, PoolTimeout, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._leases.release(self._lease, ceiling_ms)

    def lose(self) -> None:
        """Gives no more ids of this node; the next renewal takes another one."""
        self._ids.forget_node()
        self._lease = None

    async def _renew(self) -> bool:
        if self._lease is None:
            return False
        ahead_ms = max(self._ids.now_ms, self._ids.last_ms) + self._terms.headroom_ms
        # Where the clock has stepped back: ids may go up to the ceiling that they were promised.
        ceiling_ms = max(ahead_ms, self._ids.ceiling_ms)
        if await self._leases.renew(self._lease, self._terms.lasting, ceiling_ms):
            self._ids.extend(ceiling_ms)
            return True
        _log.warning("the id node was lost")
        self.lose()
        return False

    def _complain(self, reason: str) -> None:
        what = "no id node" if self._lease is None else "the id node is not renewed"
        first_line = reason.partition("\n")[0]
        self._outage.begin(f"{what}: {first_line}")


@asynccontextmanager
async def open_id_node(
    leases: Leases, ids: Snowflake, terms: Terms = Terms()
) -> AsyncGenerator[None]:
    """A leased node for a generator that has none, for as long as the block.

    Where the database has no table of leases yet, the replica starts, is not ready, and takes a
    node once there is one.
    """
    if ids.node is not None:
        yield
        return
    node = IdNode(leases, ids, terms)
    await node.keep_once()
    try:
        async with running(node.keep()):
            yield
    finally:
        await node.release()
