from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware, UTC, microseconds."""
    return datetime.now(UTC)
