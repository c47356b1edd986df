"""63-bit ids that sort by time: 41 bits of milliseconds, 10 bits of node, 12 bits of sequence."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp() * 1000)
NODE_BITS = 10
SEQUENCE_BITS = 12
MAX_NODE = (1 << NODE_BITS) - 1
MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1
MAX_MS = (1 << 41) - 1
MAX_AHEAD_MS = 1000


class SnowflakeParts(NamedTuple):
    """What an id is made of. `ms` counts from `EPOCH`."""

    ms: int
    node: int
    sequence: int

    @property
    def time(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self.ms)


def compose(parts: SnowflakeParts) -> int:
    return (
        (parts.ms << (NODE_BITS + SEQUENCE_BITS)) | (parts.node << SEQUENCE_BITS) | parts.sequence
    )


def decompose(snowflake: int) -> SnowflakeParts:
    return SnowflakeParts(
        snowflake >> (NODE_BITS + SEQUENCE_BITS),
        (snowflake >> SEQUENCE_BITS) & MAX_NODE,
        snowflake & MAX_SEQUENCE,
    )


def first_id_at(moment: datetime) -> int:
    """No id that is given then or later is less, but for a clock that is wrong."""
    return compose(SnowflakeParts((moment - EPOCH) // timedelta(milliseconds=1), 0, 0))


class IdsUnavailable(Exception):
    """No id can be given now: without a node, past its ceiling, or too far ahead of the clock."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000 - EPOCH_MS


class Snowflake:
    """Gives ids of one node: strictly increasing, never blocking, safe in threads.

    The generator's time is the larger of the wall clock and the last time it used, so that a clock
    that steps back repeats nothing. A full sequence borrows from the next millisecond, at most
    `MAX_AHEAD_MS` ahead of the wall clock. Without a node it refuses.

    Args:
        node: a fixed one; None: `assume` gives it one.
        clock: milliseconds since `EPOCH`.
    """

    def __init__(self, node: int | None = None, clock: Callable[[], int] = wall_clock_ms) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._node: int | None = None
        self._ceiling_ms = MAX_MS
        self._ms = -1
        self._sequence = MAX_SEQUENCE
        if node is not None:
            self.assume(node)

    @property
    def node(self) -> int | None:
        return self._node

    @property
    def now_ms(self) -> int:
        """What its clock says, in milliseconds since `EPOCH`."""
        return self._clock()

    @property
    def last_ms(self) -> int:
        """The time of the last id; no id was given after it."""
        return self._ms

    @property
    def ceiling_ms(self) -> int:
        """No id passes it, until `extend` raises it."""
        return self._ceiling_ms

    def assume(self, node: int, *, floor_ms: int = -1, ceiling_ms: int = MAX_MS) -> None:
        """Gives ids of this node from now on.

        Args:
            node: 0 to `MAX_NODE`.
            floor_ms: ids up to here may have been given by somebody else.
            ceiling_ms: no id passes it, until `extend` raises it.
        """
        if not 0 <= node <= MAX_NODE:
            raise ValueError(f"a node is 0 to {MAX_NODE}, not {node}")
        with self._lock:
            self._node, self._ceiling_ms = node, ceiling_ms
            # A new millisecond, also after an own one: the other node may be the smaller number.
            self._ms, self._sequence = max(self._ms, floor_ms), MAX_SEQUENCE

    def extend(self, ceiling_ms: int) -> None:
        with self._lock:
            self._ceiling_ms = max(self._ceiling_ms, ceiling_ms)

    def forget_node(self) -> None:
        with self._lock:
            self._node = None

    def next_id(self) -> int:
        """The next id.

        Raises:
            IdsUnavailable: see there.
        """
        with self._lock:
            node = self._node
            if node is None:
                raise IdsUnavailable("this process has no id node; is the schema up to date?")
            now = self._clock()
            ms, sequence = self._ms, self._sequence + 1
            if now > ms:
                ms, sequence = now, 0
            elif sequence > MAX_SEQUENCE:
                ms, sequence = ms + 1, 0
            if now < 0 or ms > MAX_MS:
                raise IdsUnavailable(f"the wall clock is {now} ms from {EPOCH:%Y}: check it")
            if ms - now > MAX_AHEAD_MS:
                raise IdsUnavailable(f"ids are {ms - now} ms ahead of the wall clock")
            if ms > self._ceiling_ms:
                raise IdsUnavailable("the lease of the id node was not renewed")
            self._ms, self._sequence = ms, sequence
        return compose(SnowflakeParts(ms, node, sequence))
