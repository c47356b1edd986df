"""Work that outlives its request and not its process: bounded, watched, and drained at a stop."""

import asyncio
import os
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
import anyio.to_thread
from loguru import logger

from internal.core.context import current_trace_id, set_trace_id

MAX_WAITING = 10_000
KEPT_SECONDS = 300.0
MAX_KEPT = 1_000
# Of the grace of a stop, what is left to those that are cancelled at its end.
UNWIND_SECONDS = 2.0

_log = logger.bind(logger="tasks")

type Work = Callable[[], Awaitable[object]]


class TaskStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class DuplicateTask(Exception):
    """A task of this id is known."""


class UnknownTask(LookupError):
    """No task of this id is known, or not any more."""


class TasksRefused(Exception):
    """Too many wait already, or the manager is being stopped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once: contract §7."""

    tasks: int
    threads: int

    @classmethod
    def of_machine(cls, cores: int | None = None) -> "Limits":
        tasks = min(max(32, 4 * (cores or os.cpu_count() or 1)), 256)
        return cls(tasks, min(max(16, tasks * 2 // 3), 128))


@dataclass(slots=True, eq=False)
class Task:
    """What is known about a task: its result if it succeeded, its error if it failed."""

    id: str
    work: Work
    timeout: float | None
    trace_id: str
    status: TaskStatus = TaskStatus.QUEUED
    result: Any = None
    error: BaseException | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cancel_requested: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    finished_at: float = 0.0


class TaskManager:
    """Runs tasks in the order they came, at most `limits.tasks` at once.

    Use `open_task_manager`. A finished task's status, result and error can be asked for during
    `kept` seconds, of the last `max_kept` tasks.
    """

    def __init__(
        self, limits: Limits, *, kept: float = KEPT_SECONDS, max_kept: int = MAX_KEPT
    ) -> None:
        self._limits = limits
        self._kept = kept
        self._max_kept = max_kept
        self._threads = anyio.CapacityLimiter(limits.threads)
        self._active: dict[str, Task] = {}
        self._waiting: deque[Task] = deque()
        self._finished: OrderedDict[str, Task] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def submit(self, task_id: str, work: Work, *, timeout: float | None = None) -> None:
        """Runs the work as soon as there is room.

        Args:
            timeout: seconds of running.

        Raises:
            DuplicateTask
            TasksRefused
        """
        self._forget_old()
        if task_id in self._active or task_id in self._finished:
            raise DuplicateTask(task_id)
        if self._is_closed or len(self._waiting) >= MAX_WAITING:
            raise TasksRefused(task_id)
        task = Task(task_id, work, timeout, current_trace_id())
        self._active[task_id] = task
        self._waiting.append(task)
        self._start_waiting()

    def cancel(self, task_id: str) -> bool:
        """Asks a task to end; False where it has ended. Its status tells what came of it.

        Raises:
            UnknownTask
        """
        task = self._find(task_id)
        if task.finished.is_set():
            return False
        task.cancel_requested = True
        if task.status is TaskStatus.QUEUED:
            self._waiting.remove(task)
            self._finish(task, TaskStatus.CANCELLED)
        else:
            task.scope.cancel()
        return True

    def status(self, task_id: str) -> TaskStatus:
        """Raises UnknownTask."""
        return self._find(task_id).status

    def result(self, task_id: str) -> object:
        """What the task returned; None before its end.

        Raises:
            UnknownTask: or what the task has raised.
        """
        task = self._find(task_id)
        if task.error is not None:
            raise task.error
        return task.result

    async def wait(self, task_id: str) -> TaskStatus:
        """Waits for its end. Raises UnknownTask."""
        task = self._find(task_id)
        await task.finished.wait()
        return task.status

    async def run_in_thread[*A, R](self, function: Callable[[*A], R], *args: *A) -> R:
        """Calls a function that blocks, in one of the manager's threads."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self._threads)

    @property
    def unfinished(self) -> int:
        return len(self._active)

    async def drain(self, seconds: float) -> None:
        """Takes no more tasks, cancels those that wait, and those that run when time is over."""
        self._is_closed = True
        for task in list(self._waiting):
            self.cancel(task.id)
        if self._running:
            await asyncio.wait(self._running, timeout=max(seconds - UNWIND_SECONDS, 0))
        for task in list(self._active.values()):
            self.cancel(task.id)
        if self._running:
            _, stuck = await asyncio.wait(self._running, timeout=UNWIND_SECONDS)
            for running in stuck:
                _log.error("a task does not end: {}", running.get_name())

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._limits.tasks:
            task = self._waiting.popleft()
            task.status = TaskStatus.RUNNING
            running = asyncio.create_task(self._run(task), name=task.id)
            self._running.add(running)
            running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._start_waiting()

    async def _run(self, task: Task) -> None:
        set_trace_id(task.trace_id)
        deadline = anyio.current_time() + (float("inf") if task.timeout is None else task.timeout)
        status = TaskStatus.SUCCEEDED
        try:
            with task.scope:
                with anyio.CancelScope(deadline=deadline) as limit:
                    task.result = await task.work()
                if limit.cancelled_caught:
                    status = TaskStatus.TIMED_OUT
            if task.scope.cancelled_caught:
                status = TaskStatus.CANCELLED
        except asyncio.CancelledError as error:
            # Raised by the work itself: nobody has cancelled it.
            status, task.error = TaskStatus.FAILED, error
        except Exception as error:  # noqa: BLE001 - whatever the work raises is its outcome
            status, task.error = TaskStatus.FAILED, error
            _log.bind(task_id=task.id).opt(exception=error).error("task failed")
        finally:
            self._finish(task, status)

    def _finish(self, task: Task, status: TaskStatus) -> None:
        task.status, task.finished_at = status, time.monotonic()
        del self._active[task.id]
        self._finished[task.id] = task
        task.finished.set()
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._kept
        while self._finished:
            task = next(iter(self._finished.values()))
            if len(self._finished) <= self._max_kept and task.finished_at > oldest:
                return
            del self._finished[task.id]

    def _find(self, task_id: str) -> Task:
        self._forget_old()
        task = self._active.get(task_id) or self._finished.get(task_id)
        if task is None:
            raise UnknownTask(task_id)
        return task


@asynccontextmanager
async def open_task_manager(
    drain_seconds: float, limits: Limits | None = None
) -> AsyncGenerator[TaskManager]:
    """A manager for as long as the block; at its end, tasks get so long to finish."""
    manager = TaskManager(limits or Limits.of_machine())
    try:
        yield manager
    finally:
        await manager.drain(drain_seconds)
