import time
from collections.abc import Awaitable, Callable, Hashable

from async_lru import alru_cache

STALE_SECONDS = 2.0
MAX_ENTRIES = 20_000


class Recent[K: Hashable, V]:
    """What was read from the database at most `STALE_SECONDS` ago, one reading a key at a time.

    The age counts from the start of the reading: what was committed before that is in it.
    """

    def __init__(self, read: Callable[[K], Awaitable[V]]) -> None:
        async def stamped(key: K) -> tuple[V, float]:
            started = time.monotonic()
            return await read(key), started

        self._read = alru_cache(maxsize=MAX_ENTRIES, ttl=STALE_SECONDS)(stamped)

    async def get(self, key: K) -> V:
        value, read_at = await self._read(key)
        if time.monotonic() - read_at > STALE_SECONDS:
            self.forget(key)
            value, _ = await self._read(key)
        return value

    def forget(self, key: K) -> None:
        """The next `get` reads anew, also where a reading is under way."""
        self._read.cache_invalidate(key)

    def forget_all(self) -> None:
        self._read.cache_clear()
