"""Importing this package knows every table: migrations compare against `Base.metadata`."""

from internal.models import (
    api_client,
    audit_event,
    idempotency_key,
    job,
    job_event,
    login_session,
    outbox_entry,
    refresh_token,
    user,
)

__all__ = [
    "api_client",
    "audit_event",
    "idempotency_key",
    "job",
    "job_event",
    "login_session",
    "outbox_entry",
    "refresh_token",
    "user",
]
