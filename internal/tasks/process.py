"""A worker's child process: one event loop in a thread of its own, with its own pools."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress

import uvloop
from loguru import logger

from internal.core.errors import StartError

type Run = Callable[[int], Awaitable[object]]
type OpenRun = Callable[[], AbstractAsyncContextManager[Run]]

RETRY_SECONDS = 1.0
CLOSE_SECONDS = 10.0

_log = logger.bind(logger="worker")


class WorkerProcess:
    """Executes jobs from Celery's thread on the loop's.

    Args:
        open_run: opens everything that executing needs, and closes it again.
    """

    def __init__(self, open_run: OpenRun) -> None:
        self._open_run = open_run
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._opened: concurrent.futures.Future[Run] = concurrent.futures.Future()
        self._closing = asyncio.Event()
        self._running: asyncio.Task[object] | None = None

    def start(self) -> None:
        """Starts the loop; its resources open as soon as they can be had."""
        self._thread.start()

    def execute(self, job_id: int) -> object:
        """Executes a job; returns when it has ended or was given back."""
        executed = asyncio.run_coroutine_threadsafe(self._execute(job_id), self._loop)
        try:
            return executed.result()
        except SystemExit:
            # How billiard ends a child that gets SIGTERM: somebody stops the whole group.
            self.give_back()
            with suppress(concurrent.futures.TimeoutError):
                executed.result(CLOSE_SECONDS)
            raise

    def give_back(self) -> None:
        """Interrupts the job at hand, which goes back into the queue."""
        with suppress(RuntimeError):  # the loop is closed: there is no job at hand
            self._loop.call_soon_threadsafe(self._interrupt)

    def close(self) -> None:
        """Closes what was opened."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(CLOSE_SECONDS)

    async def _execute(self, job_id: int) -> object:
        self._running = asyncio.ensure_future(self._run(job_id))
        try:
            await asyncio.wait({self._running})
            return None if self._running.cancelled() else self._running.result()
        finally:
            self._running = None

    async def _run(self, job_id: int) -> object:
        # Shielded: whoever is interrupted while nothing is open must not spoil the opening.
        run = await asyncio.shield(asyncio.wrap_future(self._opened))
        return await run(job_id)

    def _interrupt(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._hold_open())
        except BaseException:  # noqa: BLE001 - like the SystemExit of a job that exits
            # Without its loop, the child would hear of no job any more: Celery starts another one.
            _log.exception("a child ends")
            logger.remove()  # writes the lines that wait
            os._exit(os.EX_SOFTWARE)
        self._loop.close()

    async def _hold_open(self) -> None:
        while not self._closing.is_set():
            try:
                async with self._open_run() as run:
                    self._opened.set_result(run)
                    await self._closing.wait()
            except StartError as error:
                # A database that is away now comes back; until then, jobs wait.
                _log.error("cannot execute jobs yet: {}", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - a child without its loop would keep each job for ever
                _log.exception("cannot execute jobs yet")
                await asyncio.sleep(RETRY_SECONDS)
