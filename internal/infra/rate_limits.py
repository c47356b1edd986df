"""Rate limits: counted in this process, or in Redis where they must be right across replicas."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

MAX_WINDOWS = 100_000
COMPLAINT_SECONDS = 60

_log = logger.bind(logger="rate_limits")


# The limits of one policy: how many requests, in how many seconds.
type Windows = tuple[tuple[int, int], ...]


class Quota(NamedTuple):
    """How a caller stands to one limit. `reset` is in seconds from now."""

    remaining: int
    reset: int
    exceeded: bool


class FixedWindow:
    """One limit, counted in this process. Windows start at a key's first hit.

    A caller's two dictionary look-ups, where the library's strategy takes ten times as long; the
    notation and what is counted in Redis stay the library's.
    """

    def __init__(self, amount: int, seconds: int) -> None:
        self._amount = amount
        self._seconds = seconds
        # Key → (count, end); the first ends first, on a clock that nobody sets back.
        self._windows: dict[str, tuple[int, float]] = {}

    def hit(self, key: str) -> Quota:
        now = time.monotonic()
        count, end = self._window(key, now)
        if not count:
            self._make_room(now)
        self._windows[key] = (count + 1, end)
        remaining = self._amount - count - 1
        reset = min(self._seconds, math.ceil(end - now))  # floats round, up too
        return Quota(max(0, remaining), reset, remaining < 0)

    def seconds_until_room(self, key: str) -> int | None:
        """None where there is some. Counts nothing."""
        now = time.monotonic()
        count, end = self._window(key, now)
        return None if count < self._amount else max(1, math.ceil(end - now))

    def _window(self, key: str, now: float) -> tuple[int, float]:
        window = self._windows.get(key)
        if window is None:
            return 0, now + self._seconds
        if window[1] <= now:
            del self._windows[key]
            return 0, now + self._seconds
        return window

    def _make_room(self, now: float) -> None:
        while self._windows:
            oldest = next(iter(self._windows))
            if self._windows[oldest][1] > now and len(self._windows) < MAX_WINDOWS:
                return
            del self._windows[oldest]


class LocalLimits:
    """Limits of one policy, counted in this process: a Redis call would cost more than a request.

    Args:
        notation: of the `limits` library: `600/minute`, several separated by `;`.
    """

    def __init__(self, notation: str) -> None:
        self.windows = _windows(parse_many(notation))
        self._limits = [FixedWindow(amount, seconds) for amount, seconds in self.windows]

    def hit(self, key: str) -> list[Quota]:
        """Counts one request of a caller."""
        return [limit.hit(key) for limit in self._limits]

    def seconds_to_wait(self, key: str) -> int | None:
        """Until the next request would not be refused; None: it would not be. Counts nothing."""
        waits = [wait for limit in self._limits if (wait := limit.seconds_until_room(key))]
        return max(waits, default=None)


class SharedLimits:
    """The same, counted in Redis. If Redis fails, requests pass; that is counted and logged."""

    def __init__(self, notation: str, redis: Redis) -> None:
        self._items = parse_many(notation)
        self.windows = _windows(self._items)
        pool: Any = redis.connection_pool  # the library's types know no pool
        storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        # By this client and not one that the library makes: its commands are counted and traced.
        bridge: Any = storage.bridge
        bridge.connection_getter = lambda _readonly: redis
        bridge.register_scripts()
        self._strategy = FixedWindowRateLimiter(storage)
        self._complained_at = -math.inf
        self.failures = 0

    async def hit(self, key: str) -> Sequence[Quota]:
        """Counts one request of a caller. Empty if Redis failed."""
        try:
            return [await self._hit(item, key) for item in self._items]
        except (RedisError, OSError) as error:
            self._complain(error)
            return ()

    async def _hit(self, item: RateLimitItem, key: str) -> Quota:
        allowed = await self._strategy.hit(item, key)
        reset_at, remaining = await self._strategy.get_window_stats(item, key)
        reset = max(0, math.ceil(reset_at - time.time()))
        return Quota(remaining, reset, exceeded=not allowed)

    def _complain(self, error: Exception) -> None:
        self.failures += 1
        now = time.monotonic()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            _log.bind(failures=self.failures).error("requests pass unlimited: {}", error)


def _windows(items: Sequence[RateLimitItem]) -> Windows:
    return tuple((item.amount, item.get_expiry()) for item in items)
