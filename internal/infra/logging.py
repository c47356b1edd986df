"""Loguru's records and those of `logging`, as lines without secrets."""

import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from loguru import logger

from internal.core.context import current_trace_id
from internal.infra.line_log import LineLog
from internal.infra.log_format import encode_json, timestamp

if TYPE_CHECKING:
    from loguru import Message, RecordException

    from internal.config.settings import Settings

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


# Fields of the schema, which nothing that is bound may take the place of.
_OURS = frozenset({"time", "level", "message", "trace_id", "exception"})


def redact(value: object) -> object:
    """The value without what looks like a token or a password in it."""
    if isinstance(value, str):
        return _redact_text(value)
    if value is None or isinstance(value, int):
        return value  # before the abstract classes, which take their time
    if isinstance(value, Mapping):
        return {
            _redact_text(str(key)): REDACTED if _SECRET_KEY.search(str(key)) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if isinstance(value, float) else _redact_text(str(value))


def printed(value: object) -> object:
    """The value redacted; where it cannot be printed, what it is."""
    try:
        redacted = redact(value)
        encode_json({"": redacted})
    except Exception:  # noqa: BLE001 - it raises what it likes, and is not to cost the line
        return f"[{type(value).__name__} that cannot be printed]"
    return redacted


def _redact_text(text: str) -> str:
    return _SECRET_PAIR.sub(rf"\1{REDACTED}", _SECRET_SHAPE.sub(REDACTED, text))


class Sink:
    """Loguru's sink."""

    def __init__(self, lines: LineLog) -> None:
        self._lines = lines

    def write(self, message: "Message") -> None:
        record = message.record
        extra = record["extra"]
        name = extra.pop("logger", record["name"] or "")
        if not isinstance(name, str):
            name = str(printed(name))
        level = record["level"]
        if level.no >= logging.WARNING and not self._lines.admits(
            (name, (level.name, record["line"], _raised_at(record["exception"])))
        ):
            return
        head = {
            "time": timestamp(record["time"].timestamp()),
            "level": level.name,
            "message": redact(record["message"]),
            "logger": name,
            # Before a request has its context, whoever logs may know its trace.
            "trace_id": current_trace_id() or str(printed(extra.pop("trace_id", ""))),
        }
        own = {
            f"extra_{key}" if key in _OURS else key: REDACTED if _SECRET_KEY.search(key) else value
            for key, value in extra.items()
        }
        if record["exception"] is not None:
            own["exception"] = "".join(traceback.format_exception(*record["exception"]))
        self._lines.write(_line(head, own))
        if level.no >= logging.CRITICAL:
            self._lines.flush()  # the last words, most likely

    def stop(self) -> None:
        """By `logger.remove()`, which Loguru calls at the exit, too."""
        self._lines.close()


def _line(head: dict[str, object], own: dict[str, object]) -> bytes:
    try:
        return encode_json(head | {key: redact(value) for key, value in own.items()})
    except Exception:  # noqa: BLE001 - Loguru would print the record to stderr, secrets and all
        return encode_json(head | {key: printed(value) for key, value in own.items()})


def _raised_at(exception: "RecordException | None") -> tuple[str, int] | None:
    """File and line: one place logs what whole classes of others raise."""
    found = exception.traceback if exception else None
    if found is None:
        return None
    while found.tb_next:
        found = found.tb_next
    return found.tb_frame.f_code.co_filename, found.tb_lineno


class StandardLibraryHandler(logging.Handler):
    """Hands records of `logging` (uvicorn, SQLAlchemy, Celery, …) to Loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        if _is_sql(record) and not current_trace_id():
            return  # the background's, every second
        name = logging.getLevelName(record.levelno)
        level = name if name in _LOGURU_LEVELS else record.levelno
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments do not fit, or raise what they like
            arguments = record.args if isinstance(record.args, tuple) else (record.args,)
            message = f"{printed(record.msg)} {[printed(argument) for argument in arguments]}"
        exception = record.exc_info
        if _is_broken_connection(record) and exception:
            level, message, exception = "WARNING", f"{message}: {exception[1]}", None
        logger.bind(logger=record.name).opt(exception=exception).log(level, "{}", message)


def _is_sql(record: logging.LogRecord) -> bool:
    return record.levelno <= logging.INFO and record.name.startswith("sqlalchemy.engine")


def _is_broken_connection(record: logging.LogRecord) -> bool:
    """The pool has dropped it and will make another; what that means to users, health tells."""
    error = record.exc_info[1] if record.exc_info else None
    return record.name.startswith("sqlalchemy.pool") and type(error).__module__ == "pymysql.err"


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


def create_line_log(
    settings: "Settings",
    stream: BinaryIO | None = None,
    count_dropped: Callable[[], None] = lambda: None,
) -> LineLog:
    """The lines of the configured format, on stdout or on `stream`."""
    if stream is None and sys.stdout is not None:
        # Unbuffered: what could not be written is not to be tried again by a buffer.
        stream = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return LineLog(stream, settings.log_format, settings.log_dir, count_dropped)


def install_logging(lines: LineLog, settings: "Settings") -> None:
    """Points Loguru and `logging` of this process at the lines."""
    logger.remove()
    # The sink makes the line from the record, and looks at nothing that Loguru has formatted.
    logger.add(Sink(lines), level=settings.log_level, format=lambda _: "", diagnose=False)
    logging.basicConfig(handlers=[StandardLibraryHandler()], level=settings.log_level, force=True)
    # DEBUG shows the service's own SQL; what libraries tell about themselves stays out.
    logging.getLogger("sqlalchemy.engine").setLevel(
        logging.INFO if settings.debug else logging.WARNING
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
