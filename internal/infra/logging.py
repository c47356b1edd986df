"""One event, one line: Loguru's records and the access log, on stdout and in daily files."""

import json
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from loguru import logger

from internal.core.context import current_trace_id

if TYPE_CHECKING:
    from loguru import Message

    from internal.config.settings import Settings

KEEP_DAYS = 30
REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"passw|secret|token|authorization|cookie|api_?key|signature|credential", re.IGNORECASE
)
# Neither looks at a character many times: a long hostile text must not take long.
_SECRET_SHAPE = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JWT
    r"|ENC\([^()]*\)?"
    r"|(?<=bearer )[^\s\"',]+"
    r"|(?<=basic )[^\s\"',]+"
    r"|(?<=://)[^\s/@:]*:[^\s/]+(?=@)"  # user:password@ in a URL
    r"|(?<=input_value=).{0,200}?(?=, input_type=)",  # what Pydantic could not take
    re.IGNORECASE,
)
_SECRET_PAIR = re.compile(
    r"((?:passw|secret|token|api_?key|signature|credential)\w{0,20}"
    r"""(?:=|["']?\s?[=:]\s?(?=["'])))"""  # password=x, "password": "x", {'password': 'x'}
    r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s&"',;]+)""",
    re.IGNORECASE | re.DOTALL,
)
# Whatever a terminal or a line-based reader could take for the end of a line or a command.
_UNSAFE_IN_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class LineLog:
    """Writes events, each as one line, to stdout and, if asked for, to a file.

    The one place where lines go: Loguru's sink and the access log both end here.
    """

    def __init__(
        self, stream: BinaryIO, log_format: Literal["json", "text"], log_dir: Path | None
    ) -> None:
        self._stream = stream
        self._is_text = log_format == "text"
        self._file = DailyFile(log_dir) if log_dir else None

    def write(self, line: bytes) -> None:
        """Writes one event: a JSON object with time, level, message, logger, trace_id, and more."""
        if self._is_text:
            line = as_text(json.loads(line))
        self._stream.write(line)
        self._stream.flush()
        if self._file:
            self._file.write(line)

    def sink(self, message: "Message") -> None:
        """Loguru's sink."""
        record = message.record
        fields: dict[str, object] = {
            "time": timestamp(record["time"].timestamp()),
            "level": record["level"].name,
            "message": redact(record["message"]),
            "logger": record["extra"].pop("logger", None) or record["name"],
            "trace_id": current_trace_id(),
        }
        for key, value in record["extra"].items():
            fields[key] = REDACTED if _SECRET_KEY.search(key) else redact(value)
        if record["exception"] is not None:
            fields["exception"] = redact("".join(traceback.format_exception(*record["exception"])))
        self.write(encode_json(fields))

    def close(self) -> None:
        if self._file:
            self._file.close()


class DailyFile:
    """`groundwork-<UTC day>.<pid>.log` in a folder; files over `KEEP_DAYS` old are deleted.

    A folder that cannot be written to does not stop the service: the lines still go to stdout.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day = ""
        self._file: BinaryIO | None = None

    def write(self, line: bytes) -> None:
        day = datetime.now(UTC).date().isoformat()
        try:
            if day != self._day:
                self._turn(day)
            if self._file:
                self._file.write(line)
        except OSError as error:
            self.close()
            complaint = f"LOG_DIR {self._folder}: {error.strerror}; lines go to stdout alone today"
            sys.stderr.write(complaint + "\n")

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _turn(self, day: str) -> None:
        self.close()
        self._day = day
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"groundwork-{day}.{os.getpid()}.log"
        self._file = path.open("ab", buffering=0)
        oldest = (datetime.now(UTC).date() - timedelta(days=KEEP_DAYS)).isoformat()
        for file in self._folder.glob("groundwork-????-??-??.*.log"):
            if file.name.removeprefix("groundwork-")[: len(oldest)] < oldest:
                file.unlink(missing_ok=True)


def encode_json(fields: Mapping[str, object]) -> bytes:
    """One line of ASCII JSON: nothing a value holds can end it or break it."""
    return json.dumps(fields, default=str, separators=(",", ":")).encode("ascii") + b"\n"


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


def redact(value: object) -> object:
    """The value without what looks like a token or a password in it."""
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, Mapping):
        return {
            _redact_text(str(key)): REDACTED if _SECRET_KEY.search(str(key)) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if isinstance(value, int | float | datetime | None) else _redact_text(str(value))


def _redact_text(text: str) -> str:
    return _SECRET_PAIR.sub(rf"\1{REDACTED}", _SECRET_SHAPE.sub(REDACTED, text))


class StandardLibraryHandler(logging.Handler):
    """Hands records of `logging` (uvicorn, SQLAlchemy, Celery, …) to Loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        name = logging.getLevelName(record.levelno)
        level = name if name in _LOGURU_LEVELS else record.levelno
        try:
            message = record.getMessage()
        except (TypeError, ValueError, LookupError):  # the arguments do not fit the message
            message = f"{record.msg} {record.args}"
        bound = logger.bind(logger=record.name).opt(exception=record.exc_info)
        bound.log(level, "{}", message)


_CHATTY = (
    "aiosqlite",
    "alembic.runtime.plugins",
    "apscheduler",
    "asyncio",
    "celery",
    "sqlalchemy.engine.Engine.migrate",
    "sqlalchemy.engine.Engine.probe",
)
_LOGURU_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def create_line_log(settings: "Settings", stream: BinaryIO | None = None) -> LineLog:
    """The lines of the configured format, on stdout or on `stream`."""
    return LineLog(stream or sys.stdout.buffer, settings.log_format, settings.log_dir)


def install_logging(lines: LineLog, settings: "Settings") -> None:
    """Points Loguru and `logging` of this process at the lines."""
    logger.remove()
    # The sink makes the line; a format that is text would have Loguru write tracebacks for nothing.
    logger.add(lines.sink, level=settings.log_level, format=lambda _: "", diagnose=False)
    logging.basicConfig(handlers=[StandardLibraryHandler()], level=settings.log_level, force=True)
    # DEBUG shows the service's own SQL; what libraries tell about themselves stays out.
    logging.getLogger("sqlalchemy.engine").setLevel(
        logging.INFO if settings.debug else logging.WARNING
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
