"""`LOG_DIR`: a file a process and UTC day."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

KEEP_DAYS = 30
RETRY_SECONDS = 30.0


class DailyFile:
    """`groundwork-<UTC day>.<pid>.log` in a folder, deleted when `KEEP_DAYS` old.

    A folder that cannot be written to stops nothing: it is tried again every `RETRY_SECONDS`.
    A file that somebody has deleted is begun anew: what is written to it nobody will read.

    Args:
        tell: takes level and text of what there is to say about the file.
    """

    def __init__(self, folder: Path, tell: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._day = ""
        self._file: BinaryIO | None = None
        self._left_out = 0
        self._retry_at = 0.0

    def write(self, lines: Sequence[bytes]) -> None:
        """Adds lines: all of them or none."""
        if self._left_out and time.monotonic() < self._retry_at:
            self._left_out += len(lines)
            return
        try:
            self._append(self._todays(), b"".join(lines))
        except OSError as error:
            self.close()
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self._left_out:
                self._tell("WARNING", f"{self._name}: {error.strerror}; lines go to stdout alone")
            self._left_out += len(lines)
        else:
            if self._left_out:
                self._tell("INFO", f"{self._name}: written again, {self._left_out} lines are not")
            self._left_out = 0

    def close(self) -> None:
        """The next line opens it again."""
        self._day = ""
        if self._file:
            self._file.close()
            self._file = None

    @property
    def _name(self) -> str:
        return f"LOG_DIR {self._folder}"

    def _todays(self) -> BinaryIO:
        day = datetime.now(UTC).date().isoformat()
        if self._file is None or day != self._day or _is_deleted(self._file):
            self.close()
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"groundwork-{day}.{os.getpid()}.log"
            self._file, self._day = path.open("ab", buffering=0), day
            self._sweep()
        return self._file

    def _sweep(self) -> None:
        oldest = (datetime.now(UTC).date() - timedelta(days=KEEP_DAYS)).isoformat()
        for file in self._folder.glob("groundwork-????-??-??.*.log"):
            if file.name.removeprefix("groundwork-")[: len(oldest)] < oldest:
                with suppress(OSError):  # somebody else's; tomorrow is another day
                    file.unlink()

    @staticmethod
    def _append(file: BinaryIO, data: bytes) -> None:
        size = os.fstat(file.fileno()).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with suppress(OSError):  # a disk that is full has taken half a line
                os.ftruncate(file.fileno(), size)
            raise


def _is_deleted(file: BinaryIO) -> bool:
    return os.fstat(file.fileno()).st_nlink == 0
