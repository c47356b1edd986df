"""Importing this package knows every table: migrations compare against `Base.metadata`."""

from internal.models import (
    api_client,
    audit_event,
    idempotency_key,
    job,
    job_event,
    lease,
    login_session,
    outbox_entry,
    refresh_token,
    scheduler_tick,
    user,
    webhook_endpoint,
)

__all__ = [
    "api_client",
    "audit_event",
    "idempotency_key",
    "job",
    "job_event",
    "lease",
    "login_session",
    "outbox_entry",
    "refresh_token",
    "scheduler_tick",
    "user",
    "webhook_endpoint",
]
