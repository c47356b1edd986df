"""What belongs to the request or job at hand and every line of log carries."""

import random
import re
from contextvars import ContextVar

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")

_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII)
_INVALID = "0" * 32


def current_trace_id() -> str:
    """The trace id of the work at hand: 32 hex digits, or "" outside of any."""
    return _trace_id.get()


def set_trace_id(trace_id: str) -> None:
    _trace_id.set(trace_id)


def new_trace_id() -> str:
    """Unique, not secret: `random` takes no system call."""
    return f"{random.getrandbits(128):032x}"


def incoming_trace_id(x_trace_id: str | None, traceparent: str | None) -> str:
    """The caller's trace id where it sent a valid one, else a new one.

    `X-Trace-ID` counts when it is 32 hex digits; then W3C Trace Context §3.2 `traceparent`, whose
    version ff and all-zero trace id are invalid.
    """
    if x_trace_id is not None and _TRACE_ID.fullmatch(candidate := x_trace_id.lower()):
        return candidate
    if traceparent is not None and not traceparent.startswith("ff"):
        match = _TRACEPARENT.fullmatch(traceparent)
        if match and match[1] != _INVALID:
            return match[1]
    return new_trace_id()
