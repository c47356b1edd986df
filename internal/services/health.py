"""Is this replica ready for requests? Asked often, answered cheaply, never by a busy pool."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from loguru import logger
from redis.asyncio import Redis
from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from internal.migrations import SchemaState, schema_state

PROBE_TIMEOUT_SECONDS = 1.0
CACHE_SECONDS = 1.0

_log = logger.bind(logger="health")

OK = "ok"
UNAVAILABLE = "unavailable"
SCHEMA_BEHIND = "schema is behind the code: run `groundwork migrate`"
DRAINING = "draining"

type Check = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Readiness:
    """`parts` says `ok`, or in a few words what is wrong, for each part by its name."""

    parts: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return all(status == OK for status in self.parts.values())


class Probe:
    """One part's check: single-flight, cached for a second, answered within a second.

    A check that hangs (a frozen server answers nothing) is left to its task: callers get
    `UNAVAILABLE` in time, and the next check starts when the hanging one has let go.
    """

    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        self._task: asyncio.Task[str] | None = None
        self._result = ""
        self._checked_at = float("-inf")

    async def status(self) -> str:
        if time.monotonic() - self._checked_at < CACHE_SECONDS:
            return self._result
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        done, _ = await asyncio.wait({self._task}, timeout=PROBE_TIMEOUT_SECONDS)
        if not done:
            self._task.cancel()
            self._remember(UNAVAILABLE, "no answer in time")
        return self._result

    async def _run(self) -> str:
        reason = ""
        try:
            result = await self._check()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: the part does not answer
            result, reason = UNAVAILABLE, str(error).partition("\n")[0]
        self._remember(result, reason)
        return result

    def _remember(self, result: str, reason: str) -> None:
        if result != self._result:
            level = "INFO" if result == OK else "ERROR"
            _log.bind(part=self._name, reason=reason).log(level, "{}: {}", self._name, result)
        self._result, self._checked_at = result, time.monotonic()


class Health:
    """Readiness of the replica: every probe's status, and whether it is being stopped."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._probes = {name: Probe(name, check) for name, check in checks.items()}
        self.draining = False

    async def readiness(self) -> Readiness:
        statuses = await asyncio.gather(*(probe.status() for probe in self._probes.values()))
        parts = dict(zip(self._probes, statuses, strict=True))
        return Readiness({**parts, "server": DRAINING if self.draining else OK})


class DatabaseCheck:
    """Does the database answer, and is its schema not behind the code?"""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._ahead_was_logged = False

    async def __call__(self) -> str:
        async with self._engine.connect() as connection:
            revision = await _schema_revision(connection)
        state = schema_state(revision)
        if state is SchemaState.AHEAD and not self._ahead_was_logged:
            self._ahead_was_logged = True
            _log.bind(revision=revision).warning("the schema is ahead of the code; serving")
        return SCHEMA_BEHIND if state is SchemaState.BEHIND else OK


async def _schema_revision(connection: AsyncConnection) -> str | None:
    try:
        revision: str | None = await connection.scalar(
            text("SELECT version_num FROM alembic_version")
        )
    except SQLAlchemyError:
        # Asked only now, because it costs: is it that nobody has ever migrated?
        if await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            raise
        return None
    return revision


class RedisCheck:
    def __init__(self, client: Redis) -> None:
        self._client = client

    async def __call__(self) -> str:
        await self._client.ping()
        return OK
