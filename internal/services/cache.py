"""What was read from the database a moment ago, for every replica: rows that are read often.

Never what decides who may do something. Redis away is no outage: everything is read then.
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from functools import cached_property

import anyio
from loguru import logger
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from internal.infra.metrics import Metrics
from internal.infra.outage import Outage
from internal.infra.redis import REDIS_AWAY
from internal.infra.single_flight import SingleFlight

# Redis is to be quicker than the database; where it is not, it is not asked for a while.
PATIENCE_SECONDS = 0.25
AWAY_SECONDS = 1.0
# Values that are stored together must not all end together.
JITTER = 0.2
# Outlasts every value, and every reading whose value is still to be stored.
GENERATION_SECONDS = 3600

_NEVER_CHANGED = "0"

_log = logger.bind(logger="cache")


class Cache[V]:
    """Values by key, read once a process at a time, each stamped with its key's generation.

    The generation is asked for before the database is read, and `forget` raises it after the
    commit. A value counts only while its generation is the key's: what was read before a commit and
    stored after it is never believed, whichever replica, of whichever release, did either.

    Args:
        name: of the keys and the metrics.
        shape: of a value. Its JSON schema is in the keys: a release with another reads none of it.
        seconds: how old a value becomes at most if `forget` does not reach Redis, plus `JITTER`.
    """

    def __init__(
        self, redis: Redis, name: str, shape: type[V], seconds: float, metrics: Metrics | None
    ) -> None:
        self._redis = redis
        self._name = name
        self._type = shape
        self._seconds = seconds
        self._metrics = metrics
        self._readings = SingleFlight[int, V]()
        self._away_until = 0.0
        self._outage = Outage(_log, "the cache answers again")

    # Both when they are needed first: a process that only changes rows never needs them.
    @cached_property
    def _shape(self) -> TypeAdapter[V]:
        return TypeAdapter(self._type)

    @cached_property
    def _version(self) -> str:
        schema = json.dumps(self._shape.json_schema(), sort_keys=True)
        return hashlib.sha256(schema.encode()).hexdigest()[:8]

    async def get(self, key: int, read: Callable[[], Awaitable[V]]) -> V:
        """The value, from Redis or else by `read`, whose errors everybody gets who waits for it."""
        return await self._readings.join(key, lambda: self._get(key, read))

    async def forget(self, key: int) -> None:
        """To be called when a commit has changed the row. Never raises."""
        name = self._generation_key(key)
        with anyio.CancelScope(shield=True):
            try:
                async with asyncio.timeout(PATIENCE_SECONDS), self._redis.pipeline() as both:
                    both.incr(name)
                    both.expire(name, GENERATION_SECONDS)
                    await both.execute()
            except (*REDIS_AWAY, TimeoutError) as error:
                self._is_away(error)
        self._readings.forget(key)  # one that may have begun before

    async def _get(self, key: int, read: Callable[[], Awaitable[V]]) -> V:
        generation, stored = await self._look_up(key)
        value = self._opened(generation, stored)
        if value is not None:
            self._count("cache_hits_total")
            return value
        self._count("cache_misses_total")
        value = await read()
        if generation is not None:
            await self._store(key, f"{generation}:{self._shape.dump_json(value).decode()}")
        return value

    async def _look_up(self, key: int) -> tuple[str | None, str | None]:
        """The key's generation, None where Redis is away; and what is stored."""
        if time.monotonic() < self._away_until:
            return None, None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                keys = self._generation_key(key), self._value_key(key)
                found: list[str | None] = await self._redis.mget(keys)  # type: ignore[assignment] # decoded
        except (*REDIS_AWAY, TimeoutError, UnicodeDecodeError) as error:  # the last: not ours
            self._is_away(error)
            return None, None
        self._outage.end()
        generation, stored = found
        return generation or _NEVER_CHANGED, stored

    async def _store(self, key: int, text: str) -> None:
        milliseconds = round(self._seconds * 1000 * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._redis.set(self._value_key(key), text, px=milliseconds)
        except (*REDIS_AWAY, TimeoutError) as error:
            self._is_away(error)

    def _opened(self, generation: str | None, stored: str | None) -> V | None:
        stamp, _, text = (stored or "").partition(":")
        if not text or stamp != generation:
            return None
        try:
            return self._shape.validate_json(text)
        except ValidationError:  # not ours
            return None

    def _is_away(self, error: BaseException) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        self._outage.begin(f"the cache is away: {type(error).__name__}; the database is read")

    def _count(self, family: str) -> None:
        if self._metrics is not None:
            self._metrics.count(family, self._name)

    def _generation_key(self, key: int) -> str:
        """Of all releases: each has to hear of what another one changes."""
        return f"cache:{self._name}:{key}:generation"

    def _value_key(self, key: int) -> str:
        return f"cache:{self._name}:{key}:{self._version}"
