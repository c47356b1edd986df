"""The one place where lines go: Loguru's and the access log's, to stdout and to a daily file.

Whoever logs only leaves its line here; a thread writes. What reads stdout may be slow, or stand
still: then lines wait up to a bound, and those beyond it are left out and counted.
"""

import json
import os
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO, Literal, Protocol

from internal.infra.daily_file import DailyFile
from internal.infra.log_format import as_text, event
from internal.infra.log_repeats import WINDOW_SECONDS, Place, Repeats

# Of lines that wait; as much again may be in the thread's hands.
MAX_WAITING_BYTES = 4 * 1024 * 1024
# Lines that come within this time are written together.
GATHER_SECONDS = 0.01
CLOSE_SECONDS = 2.0
# What an event counts for that is not a line yet.
EVENT_BYTES = 320
LOST = "log lines were lost: stdout did not take them"


class Event(Protocol):
    """What is made a line by the thread: whoever logs has less to do, and leaves less behind."""

    def encode(self) -> bytes: ...


class LineLog:
    """Writes events, each as one line, in the order in which they came.

    A process that forks takes none of the lines that wait with it: its parent writes them.

    Args:
        stream: unbuffered; None: nowhere, which is what a closed stdout is.
        count_dropped: is called for each line that stdout does not get.
    """

    def __init__(
        self,
        stream: BinaryIO | None,
        log_format: Literal["json", "text"],
        log_dir: Path | None,
        count_dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._is_text = log_format == "text"
        self._notices: list[bytes] = []
        self._file = DailyFile(log_dir, self._notice) if log_dir else None
        self._count_dropped = count_dropped
        self._is_torn = False
        self._begin()
        begin = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (method := begin()) and method())

    def _begin(self) -> None:
        """With nothing; in a child, whatever the parent's other threads held when it forked."""
        # A line may come from a signal handler or a finalizer in the middle of another's.
        self._lock = threading.RLock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._lines: list[bytes | Event] = []
        self._size = 0
        self._flushes: list[threading.Event] = []
        self._dropped = 0
        self._repeats = Repeats()
        self._thread: threading.Thread | None = None
        self._is_rung = self._is_ending = False
        if self._file:
            self._file.close()

    def write(self, line: bytes | Event) -> None:
        """Leaves one event: a JSON object with time, level, message, logger, trace_id, and more.

        Never waits.
        """
        with self._lock:
            if self._size >= MAX_WAITING_BYTES:
                self._drop(1)
                return
            self._lines.append(line)
            self._size += len(line) if isinstance(line, bytes) else EVENT_BYTES
            if not self._is_rung:
                self._ring()

    def admits(self, place: Place) -> bool:
        """Whether one more event of this place may be written now; the others are counted."""
        with self._lock:
            is_admitted = self._repeats.admit(place)
            if not (is_admitted or self._is_rung):
                self._ring()
            return is_admitted

    def flush(self, seconds: float = CLOSE_SECONDS) -> None:
        """Waits, at most so long, until what was left before is written."""
        with self._lock:
            if self._thread is None:
                return
            written = threading.Event()
            self._flushes.append(written)
            self._ring()
        written.wait(seconds)

    def close(self) -> None:
        """Writes what waits, within `CLOSE_SECONDS` or not at all. A later line opens it again."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._is_ending = True
            self._ring()
        thread.join(CLOSE_SECONDS)

    def _ring(self) -> None:
        self._is_rung = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending, or the system has no more threads
                self._thread, self._is_rung = None, False
                return
        self._bell.put(None)

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count
            for _ in range(count):
                self._count_dropped()

    # --- in the thread --------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while self._thread is threading.current_thread():
                with suppress(Empty):
                    self._bell.get(timeout=WINDOW_SECONDS if self._repeats else None)
                if not (self._is_ending or self._flushes):
                    time.sleep(GATHER_SECONDS)
                self._turn()
        except BaseException:
            with self._lock:  # the next line starts another thread
                self._thread, self._is_rung = None, False
            raise

    def _turn(self) -> None:
        with self._lock:
            events, self._lines, self._size = self._lines, [], 0
            flushes, self._flushes = self._flushes, []
            dropped, self._dropped = self._dropped, 0
            left_out = self._repeats.ended(is_over=self._is_ending)
            self._is_rung = False
        lines = [line if isinstance(line, bytes) else _encoded(line) for line in events]
        lines += [
            event("WARNING", "events like these were left out", source=place[0], left_out=count)
            for place, count in left_out
        ]
        self._put(lines, dropped)
        for flush in flushes:
            flush.set()
        with self._lock:
            if self._is_ending and not self._is_rung:  # nobody has come in the meantime
                self._is_ending, self._thread = False, None
                if self._file:
                    self._file.close()

    def _put(self, lines: list[bytes], dropped: int) -> None:
        if self._is_text:
            lines = [as_text(json.loads(line)) for line in lines]
        if self._file and lines:
            self._file.write(lines)
        lines += self._notices
        self._notices.clear()
        lost = sum(self._print(chunk) for chunk in _chunks(lines))
        if lost:
            self._drop(lost)
        elif dropped and not self._print([self._event(LOST, dropped=dropped)]):
            dropped = 0
        with self._lock:
            self._dropped += dropped

    def _print(self, lines: Sequence[bytes]) -> int:
        """Writes lines to stdout; returns how many of them it has not taken."""
        if self._stream is None:
            return 0
        data = b"".join(lines)
        rest = memoryview(b"\n" + data if self._is_torn else data)
        try:
            while rest:
                written = self._stream.write(rest)
                if written is None:  # somebody who shares it has made it non-blocking
                    select.select([], [self._stream], [])
                else:
                    rest = rest[written:]
        except (OSError, ValueError):  # full, closed at its other end, or here
            self._is_torn = self._is_torn or 0 < len(rest) < len(data)
            return len(lines)
        self._is_torn = False
        return 0

    def _notice(self, level: str, message: str) -> None:
        self._notices.append(self._event(message, level))

    def _event(self, message: str, level: str = "WARNING", **fields: object) -> bytes:
        line = event(level, message, **fields)
        return as_text(json.loads(line)) if self._is_text else line


def _encoded(line: Event) -> bytes:
    try:
        return line.encode()
    except Exception:  # noqa: BLE001 - it is not to cost the lines that are written with it
        return event("ERROR", "an event could not be written", type=type(line).__name__)


def _chunks(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Lines that a pipe takes as a whole, so that processes do not mix theirs: pipe(7)."""
    start = size = 0
    for end, line in enumerate(lines):
        if size + len(line) > select.PIPE_BUF and end > start:
            yield lines[start:end]
            start, size = end, 0
        size += len(line)
    if start < len(lines):
        yield lines[start:]
