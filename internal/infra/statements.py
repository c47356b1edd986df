"""What is watched on every statement, right before and after the driver gets it.

At the cursor and not earlier: there all ways of executing meet, and the event before it costs
a tenth of a millisecond a statement.
"""

import re
import time
from typing import Any

from loguru import logger
from sqlalchemy import Connection, Delete, Engine, Update, event

_log = logger.bind(logger="database")

_COMMENTS = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*+"
_UNBOUNDED_SQL = re.compile(
    _COMMENTS + r"(?:with\b.*?\)\s*)?" + r"(?:update|delete)\b(?!.*\bwhere\b)",
    re.IGNORECASE | re.DOTALL,
)

# The execution option of reads outside of transactions.
STANDALONE = "groundwork_standalone"
_READ = re.compile(
    _COMMENTS + r"\(*(?:select|show|explain|describe|pragma"
    r"|with\b(?!.*?\)\s*(?:insert|update|delete|replace)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
_LOCKS = ("FOR UPDATE", "FOR SHARE", "LOCK IN SHARE MODE")


class UnboundedWrite(Exception):
    """An UPDATE or DELETE without a WHERE: never meant, never sent."""


class StatementWatch:
    """Refuses what is never meant; logs slow statements, without their values.

    Never meant is an UPDATE or DELETE that names no rows, and to write or lock among reads.

    Args:
        slow_ms: statements that take longer are logged; 0: none.
    """

    def __init__(self, slow_ms: int) -> None:
        self._slow_ms = slow_ms

    def listen(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self._before)
        if self._slow_ms:
            event.listen(engine, "after_cursor_execute", self._after)

    def _before(
        self,
        connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        context: Any,  # noqa: ANN401 - SQLAlchemy's execution context has no public type
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        if connection.get_execution_options().get(STANDALONE):
            _refuse_to_write(statement)
        if context.isupdate or context.isdelete:
            write: Update | Delete = context.compiled.statement
            unbounded = write.whereclause is None
        else:
            unbounded = _UNBOUNDED_SQL.match(statement) is not None
        if unbounded:
            raise UnboundedWrite(statement)
        context.groundwork_started = time.perf_counter()

    def _after(
        self,
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        context: Any,  # noqa: ANN401
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        milliseconds = (time.perf_counter() - context.groundwork_started) * 1000
        if milliseconds > self._slow_ms:
            sql = " ".join(statement.split())
            _log.bind(ms=round(milliseconds, 1), sql=sql).warning("slow query")


def _refuse_to_write(statement: str) -> None:
    """A write would be committed at once, and a lock be gone before its row is here."""
    upper = statement.upper()
    if not _READ.match(statement) or any(lock in upper for lock in _LOCKS):
        raise RuntimeError("a reading session neither writes nor locks; use `begin`")
