"""Figures of several processes that serve together: any of them answers for all.

Each has a slot, two files in a folder of theirs: its figures, and a lock that the kernel lets go of
when the process dies, however it dies. Whoever replaces it takes the slot and counts on from there,
so that totals never fall and there are never more files than processes.
"""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from loguru import logger

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.background import resting, running
from internal.infra.listener import bind
from internal.infra.metrics import Figures, Metrics
from internal.infra.metrics_server import serve_metrics

FLUSH_SECONDS = 1.0

_log = logger.bind(logger="metrics")


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a parent hands to its processes; its default is that of a process of its own.

    Args:
        folder: where they leave their figures.
        listener: bound to METRICS_PORT.
    """

    folder: Path | None = None
    listener: socket.socket | None = None


@contextmanager
def open_sharing(settings: Settings, *, has_children: bool) -> Generator[Sharing]:
    """Raises StartError: METRICS_PORT is taken, or DATA_DIR cannot be written to."""
    if not settings.metrics_enabled:
        yield Sharing()
        return
    listener = None
    if settings.metrics_port:
        listener = bind(settings.host, settings.metrics_port, "METRICS_PORT")
    try:
        if has_children:
            with _folder(settings.data_dir / "metrics") as folder:
                yield Sharing(folder, listener)
        else:
            yield Sharing(None, listener)
    finally:
        if listener:
            listener.close()


@asynccontextmanager
async def open_metrics(metrics: Metrics, sharing: Sharing) -> AsyncGenerator[None]:
    """Shares the process's figures with the others, and answers on METRICS_PORT if there is one."""
    async with AsyncExitStack() as stack:
        if sharing.folder:
            slot = Slot(sharing.folder)
            stack.callback(slot.close)
            metrics.inherit(slot.inherited)
            metrics.peers = slot
            stack.callback(setattr, metrics, "peers", None)
            stack.callback(lambda: slot.store(metrics.snapshot()))
            await stack.enter_async_context(running(_flush(metrics, slot)))
        if sharing.listener:
            await stack.enter_async_context(serve_metrics(metrics, sharing.listener))
        yield


async def _flush(metrics: Metrics, slot: "Slot") -> None:
    while True:
        slot.store(metrics.snapshot())
        with resting():
            await asyncio.sleep(FLUSH_SECONDS)


class Slot:
    """One process's place in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for number in count():
            self._path = folder / f"{number}.json"
            self._lock = os.open(_lock_of(self._path), os.O_RDWR | os.O_CREAT, 0o600)
            if _try_lock(self._lock):
                break
            os.close(self._lock)
        self.inherited = _read(self._path)
        self._stored = ""
        self._has_complained = False

    def close(self) -> None:
        os.close(self._lock)

    def store(self, own: Figures) -> None:
        """Leaves figures for the others: whole or not at all."""
        dumped = json.dumps(own.dump(), separators=(",", ":"))
        if dumped == self._stored:
            return
        written = self._path.with_suffix(".new")
        try:
            written.write_text(dumped, "utf-8")
            written.replace(self._path)
        except OSError as error:
            if not self._has_complained:
                _log.warning("metrics of this process are not shared: {}", error)
            self._has_complained = True
        else:
            self._stored, self._has_complained = dumped, False

    def exchange(self, own: Figures) -> Figures:
        self.store(own)
        figures = Figures()
        figures.add(own)
        for path in self._folder.glob("*.json"):
            if path != self._path:
                figures.add(_read(path), gauges=_is_locked(_lock_of(path)))
        return figures


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # somebody has cleaned up here
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Figures:
    try:
        return Figures.load(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Figures()


@contextmanager
def _folder(parent: Path) -> Generator[Path]:
    """A folder of this service alone, also where several share DATA_DIR; gone at the end."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent):  # what has just been made is not held yet
            _sweep(parent)
            folder = Path(tempfile.mkdtemp(dir=parent))
            holding = os.open(folder, os.O_RDONLY)
            fcntl.flock(holding, fcntl.LOCK_EX)
    except OSError as error:
        raise StartError(
            f"DATA_DIR: {error.filename} cannot be written to: {error.strerror}; "
            "make it writable or set METRICS_ENABLED=false"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(holding)


def _sweep(parent: Path) -> None:
    """Removes what services that were killed have left: nobody holds it any more."""
    for folder in [path for path in parent.iterdir() if path.is_dir()]:
        if not _is_locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
