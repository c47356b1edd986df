"""The one place that knows the order of start and stop."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from loguru import logger
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import AppEnv, Settings
from internal.core.errors import StartError
from internal.core.snowflake import Snowflake
from internal.infra.background import running
from internal.infra.database import create_probe_engine, open_database
from internal.infra.history import HISTORY_SHARED_BY, History
from internal.infra.line_log import LineLog
from internal.infra.logging import install_logging
from internal.infra.metrics import Metrics
from internal.infra.metrics_sharing import Sharing, open_metrics
from internal.infra.rate_limits import LocalLimits, SharedLimits
from internal.infra.redis import TIMEOUT_SECONDS, create_client, open_redis
from internal.infra.task_manager import open_task_manager
from internal.infra.tracing import Tracing, open_tracing
from internal.services.assembly import Services, assemble_services
from internal.services.health import (
    PROBE_TIMEOUT_SECONDS,
    DatabaseCheck,
    Health,
    RedisCheck,
)
from internal.services.id_nodes import open_id_node
from internal.services.jobs.dispatcher import Dispatcher, Publish
from internal.services.jobs.embedded import embedded_publish
from internal.services.jobs.runner import Runner
from internal.services.jobs.watch import JobWatch
from internal.services.kinds import KINDS
from internal.services.leases import Leases
from internal.services.resources import Limits, Resources
from internal.services.scheduling import scheduler_leader
from internal.services.unit_of_work import UnitOfWork

_log = logger.bind(logger="lifespan")

type Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_lifespan(
    settings: Settings, lines: LineLog, metrics: Metrics, sharing: Sharing
) -> Lifespan:
    """The lifespan of an app: opens its resources, and closes them in reverse.

    A step that fails closes what was opened before it, logs one line, and is raised again.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            install_logging(lines, settings)
            stack.callback(lines.close)
            try:
                await stack.enter_async_context(open_metrics(metrics, sharing))
                app.state.resources = await open_resources(settings, stack, metrics)
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


async def open_resources(settings: Settings, stack: AsyncExitStack, metrics: Metrics) -> Resources:
    """Opens everything that a replica has, in the order of start; `stack` closes it in reverse.

    Raises:
        StartError: a part cannot start.
    """
    start = StepLog()
    core = await open_core("api", settings, stack, metrics, start.done)
    tasks = await stack.enter_async_context(open_task_manager(settings.shutdown_grace_seconds))
    start.done("async task manager")
    if settings.jobs_backend == "embedded":
        runner = Runner(core.unit_of_work, KINDS, core.services, metrics, core.tracing)
        publish = embedded_publish(tasks, runner.run)
    else:
        publish = await stack.enter_async_context(open_celery(settings))
    leader = None
    if settings.scheduler_enabled:
        leader = scheduler_leader(core.services, core.leases, metrics, core.tracing)
        start.done("scheduler")
    health = await stack.enter_async_context(_open_health(settings))
    start.done("health")
    job_watch = JobWatch(core.services.jobs)
    history = _create_history(settings, metrics) if settings.ops_enabled else None
    loops = (_dispatcher(core, publish), job_watch, history, leader)
    # Together: where the database is frozen, each takes as long as it may to end.
    await stack.enter_async_context(running(*(loop.run() for loop in loops if loop is not None)))
    return Resources(
        settings=settings,
        metrics=metrics,
        tracing=core.tracing,
        database=core.database,
        redis=core.redis,
        ids=core.ids,
        unit_of_work=core.unit_of_work,
        services=core.services,
        tasks=tasks,
        job_watch=job_watch,
        health=health,
        limits=Limits(
            LocalLimits(settings.rate_limit_default),
            SharedLimits(settings.rate_limit_auth, core.redis),
        ),
        history=history,
    )


def _create_history(settings: Settings, metrics: Metrics) -> History:
    """Of all processes of the replica, unless so many that each reading all others is work."""
    is_shared = settings.workers <= HISTORY_SHARED_BY
    return History(metrics.collect if is_shared else metrics.snapshot)


@dataclass(frozen=True)
class Core:
    """What every process has that works on our data: replicas, workers, the scheduler."""

    tracing: Tracing
    database: AsyncEngine
    redis: Redis
    ids: Snowflake
    leases: Leases
    unit_of_work: UnitOfWork
    services: Services


async def open_core(  # noqa: PLR0913 - all that processes differ in
    process: str,
    settings: Settings,
    stack: AsyncExitStack,
    metrics: Metrics,
    done: Callable[[str], None] = lambda _part: None,
    *,
    redis: Redis | None = None,
) -> Core:
    """Raises StartError.

    Args:
        process: its kind: api, worker or scheduler.
        redis: a client to use and close; None: one that has been answered.
    """
    tracing = await stack.enter_async_context(open_tracing(settings, process))
    database = await stack.enter_async_context(open_database(settings, metrics))
    done("database")
    redis = await stack.enter_async_context(redis or open_redis(settings, metrics))
    done("redis")
    tracing.watch(database, redis)
    ids = Snowflake(settings.snowflake_node_id)
    unit_of_work = UnitOfWork(database, ids)
    leases = Leases(unit_of_work)
    await stack.enter_async_context(open_id_node(leases, ids))
    done("snowflake ids")
    services = assemble_services(settings, unit_of_work, redis, metrics)
    done("signature authentication")
    return Core(tracing, database, redis, ids, leases, unit_of_work, services)


@asynccontextmanager
async def open_run(
    settings: Settings, sharing: Sharing
) -> AsyncGenerator[Callable[[int], Awaitable[object]]]:
    """Executing jobs by their ids, with everything that this takes: a worker's child process."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        await stack.enter_async_context(open_metrics(metrics, sharing))
        core = await open_core("worker", settings, stack, metrics)
        yield Runner(core.unit_of_work, KINDS, core.services, metrics, core.tracing).run


@asynccontextmanager
async def open_scheduler(settings: Settings, sharing: Sharing) -> AsyncGenerator[None]:
    """The scheduler in a process of its own. It hands over what is due, like every replica."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        await stack.enter_async_context(open_metrics(metrics, sharing))
        # Redis is at hand for services that know it, and not asked: a scheduler starts without.
        redis = create_client(settings, connections=1, timeout=TIMEOUT_SECONDS)
        core = await open_core("scheduler", settings, stack, metrics, redis=redis)
        works = [scheduler_leader(core.services, core.leases, metrics, core.tracing).run()]
        if settings.jobs_backend == "celery":
            publish = await stack.enter_async_context(open_celery(settings))
            works.append(_dispatcher(core, publish).run())
        await stack.enter_async_context(running(*works))
        _log.info("ready")
        yield
        _log.info("stopping")


@asynccontextmanager
async def open_celery(settings: Settings) -> AsyncGenerator[Publish]:
    """Handing jobs over to Celery; it is loaded and connects when there is the first."""
    from internal.infra.celery import CeleryPublisher  # noqa: PLC0415 - not of an embedded replica

    publisher = CeleryPublisher(settings)
    try:
        yield publisher.publish
    finally:
        publisher.close()


def _dispatcher(core: Core, publish: Publish) -> Dispatcher:
    return Dispatcher(core.unit_of_work, publish, core.services.jobs.committed)


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
