"""Importing this package knows every table: migrations compare against `Base.metadata`."""

from internal.models import (
    api_client,
    audit_event,
    idempotency_key,
    login_session,
    refresh_token,
    user,
)

__all__ = [
    "api_client",
    "audit_event",
    "idempotency_key",
    "login_session",
    "refresh_token",
    "user",
]
