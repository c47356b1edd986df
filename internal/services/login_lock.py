"""Guessing passwords costs time: 5 failures lock an account for an address, 100 for everybody."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from internal.core.address import counted_as
from internal.core.errors import TooManyRequests
from internal.infra.redis_scripts import ADMIT_ATTEMPT, FORGIVE_ATTEMPT

LOCK_SECONDS = 15 * 60
FAILURES_PER_ADDRESS = 5
FAILURES_PER_ACCOUNT = 100


class LoginLock:
    """Every attempt counts as a failure until it has succeeded, so that parallel ones count too.

    Without Redis nobody gets in: its errors go through to the caller.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._admit: Any = redis.register_script(ADMIT_ATTEMPT)
        self._forgive: Any = redis.register_script(FORGIVE_ATTEMPT)

    @asynccontextmanager
    async def attempt(self, username: str, address: str) -> AsyncGenerator[None]:
        """Counts an attempt, unless the block raises: then it came to no verdict.

        Raises:
            TooManyRequests: this account is locked, for this address or for all.
        """
        keys = _keys(username, address)
        limits = [FAILURES_PER_ADDRESS, FAILURES_PER_ACCOUNT, LOCK_SECONDS]
        seconds = await self._admit(keys=keys, args=limits)
        if seconds:
            raise TooManyRequests(headers={"Retry-After": str(seconds)})
        try:
            yield
        except BaseException:
            await self._forgive(keys=keys)
            raise

    async def succeeded(self, username: str, address: str) -> None:
        """The address may fail five times again."""
        by_address, by_account = _keys(username, address)
        await self._redis.delete(by_address)
        await self._forgive(keys=[by_account])


def _keys(username: str, address: str) -> list[str]:
    account = hashlib.sha256(username.encode()).hexdigest()[:32]
    prefix = f"login:{{{account}}}"  # the braces keep both in one slot of a cluster
    return [f"{prefix}:{counted_as(address)}", prefix]
