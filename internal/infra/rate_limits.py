"""Rate limits: counted in this process, or in Redis where they must be right across replicas."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter as SharedStrategy
from limits.storage.base import Storage
from limits.strategies import FixedWindowRateLimiter as LocalStrategy
from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

MAX_WINDOWS = 100_000
COMPLAINT_SECONDS = 60

_log = logger.bind(logger="rate_limits")


class Quota(NamedTuple):
    """One limit and how a caller stands to it. `reset` is in seconds from now."""

    amount: int
    window: int
    remaining: int
    reset: int
    exceeded: bool


class WindowCounters(Storage):
    """Counters in this process, bounded: ended windows go first, then the oldest."""

    STORAGE_SCHEME = None  # not to be had by a URI

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, list[float]] = {}  # key → [count, end], oldest first

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        window = self._window(key)
        if window is None:
            self._make_room()
            window = self._windows[key] = [0, time.time() + expiry]
        window[0] += amount
        return int(window[0])

    def get(self, key: str) -> int:
        window = self._window(key)
        return 0 if window is None else int(window[0])

    def get_expiry(self, key: str) -> float:
        window = self._window(key)
        return time.time() if window is None else window[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    def _window(self, key: str) -> list[float] | None:
        window = self._windows.get(key)
        if window is not None and window[1] <= time.time():
            del self._windows[key]
            return None
        return window

    def _make_room(self) -> None:
        now = time.time()
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
        self._items = parse_many(notation)
        self._strategy = LocalStrategy(WindowCounters())

    def hit(self, key: str) -> list[Quota]:
        """Counts one request of a caller."""
        return [self._quota(item, key, self._strategy.hit(item, key)) for item in self._items]

    def is_exhausted(self, key: str) -> bool:
        """Whether the next request would be refused. Counts nothing."""
        return not all(self._strategy.test(item, key) for item in self._items)

    def seconds_to_wait(self, key: str) -> int:
        """Until every limit has room for this caller again."""
        stats = (self._strategy.get_window_stats(item, key) for item in self._items)
        waits = [math.ceil(end - time.time()) for end, remaining in stats if not remaining]
        return max([1, *waits])  # none, where a window has just ended

    def _quota(self, item: RateLimitItem, key: str, allowed: bool) -> Quota:  # noqa: FBT001
        return _quota(item, allowed, *self._strategy.get_window_stats(item, key))


class SharedLimits:
    """The same, counted in Redis. If Redis fails, requests pass; that is counted and logged."""

    def __init__(self, notation: str, redis: Redis) -> None:
        self._items = parse_many(notation)
        pool: Any = redis.connection_pool  # the library's types know no pool
        storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        self._strategy = SharedStrategy(storage)
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
        return _quota(item, allowed, *await self._strategy.get_window_stats(item, key))

    def _complain(self, error: Exception) -> None:
        self.failures += 1
        now = time.monotonic()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            _log.bind(failures=self.failures).error("requests pass unlimited: {}", error)


def _quota(item: RateLimitItem, allowed: bool, reset_at: float, remaining: int) -> Quota:  # noqa: FBT001
    return Quota(
        item.amount,
        item.get_expiry(),
        remaining,
        max(0, math.ceil(reset_at - time.time())),
        exceeded=not allowed,
    )
