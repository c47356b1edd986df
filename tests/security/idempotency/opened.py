"""The service's resources without HTTP, and what its transactions have left."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy import select

from internal.config.settings import Settings
from internal.infra.metrics import Metrics
from internal.lifespan import open_resources
from internal.models.audit_event import AuditEvent
from internal.models.idempotency_key import IdempotencyKey
from internal.services.resources import Resources


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Resources]:
    async with AsyncExitStack() as stack:
        yield await open_resources(settings, stack, Metrics())


async def events(resources: Resources) -> Sequence[AuditEvent]:
    async with resources.unit_of_work.read() as session:
        return (await session.scalars(select(AuditEvent))).all()


async def stored_keys(resources: Resources) -> Sequence[IdempotencyKey]:
    async with resources.unit_of_work.read() as session:
        return (await session.scalars(select(IdempotencyKey))).all()
