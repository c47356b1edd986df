"""Deletes rows that nobody will ask for any more, a bounded number at a time."""

from datetime import datetime, timedelta

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from internal.dao.idempotency_keys import IdempotencyKeyDAO
from internal.dao.login_sessions import LoginSessionDAO
from internal.dao.refresh_tokens import RefreshTokenDAO
from internal.dao.scheduler_ticks import SchedulerTickDAO

KEPT = timedelta(days=7)
# Of each table in a run: the transaction holds the scheduler's lease, and must not take long.
BATCH = 5_000

_log = logger.bind(logger="purge")


async def purge(session: AsyncSession, scheduled_at: datetime) -> None:
    """Idempotency keys, login sessions with their refresh tokens, and ticks of the scheduler.

    Each is kept for `KEPT` after its end. A session that was ended early is kept until it would
    have expired, and with it the tokens by whose reuse a theft is noticed.
    """
    before = scheduled_at - KEPT
    deleted = {
        "idempotency_keys": await IdempotencyKeyDAO(session).purge(before, BATCH),
        # Tokens point at their session: they go first.
        "refresh_tokens": await RefreshTokenDAO(session).purge(before, BATCH),
        "login_sessions": await LoginSessionDAO(session).purge(before, BATCH),
        "scheduler_ticks": await SchedulerTickDAO(session).purge(before, BATCH),
    }
    if any(deleted.values()):
        _log.bind(**deleted).info("purged")
