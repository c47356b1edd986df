"""How an event is written: a line of JSON, or of text for people."""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

# Whatever a terminal or a line-based reader could take for the end of a line or a command.
_UNSAFE_IN_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def event(level: str, message: str, **fields: object) -> bytes:
    """A line of the log about the log."""
    now = timestamp(time.time())
    head = {"time": now, "level": level, "message": message, "logger": "logging", "trace_id": ""}
    return encode_json({**head, **fields})


# Made once: `json.dumps` with options makes one a line.
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


def encode_json(fields: Mapping[str, object]) -> bytes:
    """One line of ASCII JSON: nothing a value holds can end it or break it."""
    return _encode(fields).encode("ascii") + b"\n"


def as_text(fields: Mapping[str, object]) -> bytes:
    """One line for people. Line ends and control characters in values are escaped."""
    head = "{time} {level:<8} {logger} | {message} ".format_map(fields)
    rest = " ".join(
        f"{key}={value}"
        for key, value in fields.items()
        if key not in _TEXT_HEAD and value not in ("", None)
    )
    line = head + rest
    text = _UNSAFE_IN_TEXT.sub(_escape, line.rstrip())
    for trace_line in str(fields.get("exception", "")).splitlines():
        text += "\n    " + _UNSAFE_IN_TEXT.sub(_escape, trace_line)
    return text.encode() + b"\n"


_TEXT_HEAD = frozenset({"time", "level", "logger", "message", "exception"})


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, microseconds, of a Unix time."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1_000_000):06d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
