from dataclasses import dataclass

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.infra.history import History
from internal.infra.metrics import Metrics
from internal.infra.rate_limits import LocalLimits, SharedLimits
from internal.infra.task_manager import TaskManager
from internal.infra.tracing import Tracing
from internal.services.assembly import Services
from internal.services.health import Health
from internal.services.jobs.watch import JobWatch
from internal.services.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Limits:
    """Rate limits: `default` a caller in this process, `auth` an address on every replica."""

    default: LocalLimits
    auth: SharedLimits


@dataclass(frozen=True)
class Resources:
    """What a running process has open. Filled by the lifespan, in the order of start."""

    settings: Settings
    metrics: Metrics
    tracing: Tracing
    database: AsyncEngine
    redis: Redis
    ids: Snowflake
    unit_of_work: UnitOfWork
    tasks: TaskManager
    job_watch: JobWatch
    health: Health
    services: Services
    limits: Limits
    history: History | None
