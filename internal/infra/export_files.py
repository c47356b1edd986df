"""Files that are made for people: complete under their name, or not there."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import anyio
from anyio.to_thread import run_sync

_NAME = re.compile(r"[a-z0-9-]+\.csv")
_PART = re.compile(r"\.export-.+\.part")


class NewFile:
    """A file that is being written; its size and digest so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def write(self, data: bytes) -> None:
        """Raises OSError."""
        await run_sync(self._file.write, data)
        self._digest.update(data)
        self.bytes += len(data)


class ExportFiles:
    """A folder of files, made when there is the first. Only its owner may read them.

    It may be shared by several machines, and hold files of somebody else, which are left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def create(self, name: str) -> AsyncGenerator[NewFile]:
        """A file that takes its name, and the place of one that has it, when the block ends.

        Where the block raises, nothing is left of it.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        file = await run_sync(self._open)
        try:
            yield NewFile(file)
            await run_sync(self._finish, file, name)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_sync(_discard, file)
            raise

    async def find(self, name: str) -> Path | None:
        path = self._folder / name
        return path if await run_sync(path.is_file) else None

    async def purge(self, written_before: datetime) -> int:
        """Deletes files, and what is left of unfinished ones, that are older; returns how many."""
        return await run_sync(self._purge, written_before.timestamp())

    def _open(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(
            dir=self._folder, prefix=".export-", suffix=".part", delete=False
        )

    def _finish(self, file: IO[bytes], name: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        Path(file.name).replace(self._folder / name)

    def _purge(self, written_before: float) -> int:
        deleted = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if not (_NAME.fullmatch(entry.name) or _PART.fullmatch(entry.name)):
                    continue
                with contextlib.suppress(FileNotFoundError):  # another was faster
                    if entry.stat(follow_symlinks=False).st_mtime < written_before:
                        Path(entry.path).unlink()
                        deleted += 1
        return deleted


def _discard(file: IO[bytes]) -> None:
    # What is left in the buffer may have no place on the disk, either.
    with contextlib.suppress(OSError):
        file.close()
    Path(file.name).unlink(missing_ok=True)
