"""What belongs to the request or job at hand and every line of log carries."""

import random
import re
from contextvars import ContextVar
from dataclasses import dataclass

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")

_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TRACEPARENT = re.compile(
    r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII
)
_INVALID = "0" * 32
_INVALID_SPAN = "0" * 16
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class RemoteParent:
    """The caller's span, from its `traceparent`."""

    trace_id: str
    span_id: str
    is_sampled: bool


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
    version ff is invalid. A trace id of zeros alone is invalid in both.
    """
    if (
        x_trace_id is not None
        and _TRACE_ID.fullmatch(candidate := x_trace_id.lower())
        and candidate != _INVALID
    ):
        return candidate
    match = _match(traceparent) if traceparent is not None else None
    return match[1] if match else new_trace_id()


def parse_traceparent(traceparent: str) -> RemoteParent | None:
    """None where it is invalid (W3C Trace Context §3.2)."""
    match = _match(traceparent)
    if match is None or match[2] == _INVALID_SPAN:
        return None
    trace_id, span_id, flags = match.groups()
    return RemoteParent(trace_id, span_id, is_sampled=bool(int(flags, 16) & _SAMPLED))


def _match(traceparent: str) -> re.Match[str] | None:
    """Its trace id, its span's and its flags; None where it names no trace."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or traceparent.startswith("ff") or match[1] == _INVALID:
        return None
    return match
