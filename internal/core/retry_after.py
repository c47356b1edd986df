"""`Retry-After` of a reply (RFC 9110 §10.2.3)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_MOST_DIGITS = 9  # thirty years: more digits are a longer time than anybody waits


def parse_retry_after(value: str | None, now: datetime, longest: timedelta) -> timedelta | None:
    """How long the server asks to wait, none to `longest`; None where it does not say.

    Args:
        value: seconds or an HTTP date, as the header has it. What is neither says nothing.
        now: aware; what a date is measured from.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        asked = timedelta(seconds=int(text)) if len(text) <= _MOST_DIGITS else longest
    else:
        until = _parse_date(text)
        if until is None:
            return None
        asked = until - now
    return min(max(asked, timedelta()), longest)


def _parse_date(text: str) -> datetime | None:
    """An HTTP date in any of its three forms (RFC 9110 §5.6.7)."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # asctime's form names no zone; every HTTP date is in UTC.
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
