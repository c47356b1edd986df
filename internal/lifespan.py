"""The one place that knows the order of start and stop."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from loguru import logger

from internal.config.settings import AppEnv, Settings
from internal.core.errors import StartError
from internal.core.snowflake import Snowflake
from internal.infra.database import create_probe_engine, open_database
from internal.infra.logging import LineLog, install_logging
from internal.infra.rate_limits import LocalLimits, SharedLimits
from internal.infra.redis import create_client, open_redis
from internal.services.assembly import assemble_services
from internal.services.health import (
    PROBE_TIMEOUT_SECONDS,
    DatabaseCheck,
    Health,
    RedisCheck,
)
from internal.services.resources import Limits, Resources
from internal.services.unit_of_work import UnitOfWork

_log = logger.bind(logger="lifespan")

type Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_lifespan(settings: Settings, lines: LineLog) -> Lifespan:
    """The lifespan of an app: opens its resources, and closes them in reverse.

    A step that fails closes what was opened before it, logs one line, and is raised again.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            install_logging(lines, settings)
            stack.callback(lines.close)
            try:
                app.state.resources = await open_resources(settings, stack)
            except StartError as error:
                _log.critical("start failed: {}", error)
                raise
            except Exception as error:
                # Not foreseen, and still the only line that tells: the server says no more.
                _log.critical("start failed: {}: {}", type(error).__name__, error)
                raise
            _announce(settings)
            yield
            _log.info("stopping")

    return lifespan


async def open_resources(settings: Settings, stack: AsyncExitStack) -> Resources:
    """Opens everything in the order of start; `stack` closes it in reverse.

    Raises:
        StartError: a part cannot start.
    """
    start = StepLog()
    database = await stack.enter_async_context(open_database(settings))
    start.done("database")
    redis = await stack.enter_async_context(open_redis(settings))
    start.done("redis")
    ids = Snowflake(settings.snowflake_node_id)
    start.done("snowflake ids")
    unit_of_work = UnitOfWork(database, ids)
    services = assemble_services(settings, unit_of_work, redis)
    start.done("signature authentication")
    health = await stack.enter_async_context(_open_health(settings))
    start.done("health")
    return Resources(
        settings=settings,
        database=database,
        redis=redis,
        ids=ids,
        unit_of_work=unit_of_work,
        health=health,
        services=services,
        limits=Limits(
            LocalLimits(settings.rate_limit_default), SharedLimits(settings.rate_limit_auth, redis)
        ),
    )


@asynccontextmanager
async def _open_health(settings: Settings) -> AsyncGenerator[Health]:
    engine = create_probe_engine(settings, PROBE_TIMEOUT_SECONDS)
    client = create_client(settings, connections=1, timeout=PROBE_TIMEOUT_SECONDS, retries=0)
    try:
        yield Health({"database": DatabaseCheck(engine), "redis": RedisCheck(client)})
    finally:
        await client.aclose()
        await engine.dispose()


class StepLog:
    """Logs each step of the start with the time it took."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def done(self, part: str) -> None:
        now = time.perf_counter()
        _log.bind(part=part, ms=round((now - self._since) * 1000, 1)).info("started {}", part)
        self._since = now


def _announce(settings: Settings) -> None:
    _log.bind(app_env=str(settings.app_env)).info("ready")
    if settings.app_env is AppEnv.LOCAL:
        base = f"http://127.0.0.1:{settings.port}"
        _log.info("docs page {}/docs", base)
        _log.info("health    {}/readyz", base)
