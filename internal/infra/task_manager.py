"""Work that outlives its request and not its process: bounded, watched, and drained at a stop."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

import anyio
import anyio.lowlevel
import anyio.to_thread
from loguru import logger

from internal.core.context import current_trace_id, set_trace_id

# Of the grace of a stop, what is left to those that are cancelled at its end.
UNWIND_SECONDS = 2.0

_log = logger.bind(logger="tasks")

type Work[R] = Callable[[], Awaitable[R]]


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


class TaskManagerFull(Exception):
    """Too many tasks wait already."""


class TaskManagerClosed(Exception):
    """The manager is being drained: it takes no more tasks."""


class NoResult(Exception):
    """The task has not ended, was cancelled, or has timed out: its status tells which."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """How much at once (contract §7), and how much is remembered.

    Args:
        tasks: that run at once.
        threads: in which `run_in_thread` calls.
        waiting: tasks that may wait for room.
        kept_seconds: how long a finished task can be asked for.
        kept: finished tasks that are remembered, at most; the oldest are forgotten first.
    """

    tasks: int
    threads: int
    waiting: int = 10_000
    kept_seconds: float = 300.0
    kept: int = 1_000

    @classmethod
    def of_machine(cls, cores: int | None = None) -> "TaskLimits":
        tasks = min(max(32, 4 * (cores or os.cpu_count() or 1)), 256)
        return cls(tasks, min(max(16, tasks * 2 // 3), 128))


@dataclass(slots=True, eq=False)
class _Unfinished:
    """A task that waits or runs."""

    id: str
    work: Work[object]
    timeout: float | None
    trace_id: str
    is_running: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    finished: asyncio.Future["_Outcome"] = field(default_factory=asyncio.Future)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is remembered of a task; neither its work nor the frames of its traceback."""

    status: TaskStatus
    at: float
    result: object = None
    error: BaseException | None = None


class TaskManager:
    """Runs tasks in the order they came, at most `limits.tasks` at once. Of one event loop.

    Use `open_task_manager`.
    """

    def __init__(self, limits: TaskLimits) -> None:
        self._limits = limits
        self._threads = anyio.CapacityLimiter(limits.threads)
        # Dictionaries for their order, of which any can be taken out of the middle.
        self._waiting: dict[str, _Unfinished] = {}
        self._running: dict[str, _Unfinished] = {}
        self._finished: dict[str, _Outcome] = {}
        self._loop_tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._drained_by = inf

    def submit[R](self, task_id: str, work: Work[R], *, timeout: float | None = None) -> None:
        """Runs the work as soon as there is room, under the trace id of now.

        Args:
            timeout: seconds of running; waiting does not count.

        Raises:
            DuplicateTask: until the task of this id has finished and is forgotten.
            TaskManagerFull, TaskManagerClosed
        """
        if self._is_closed:
            raise TaskManagerClosed(task_id)
        self._forget_old()
        if any(task_id in tasks for tasks in (self._waiting, self._running, self._finished)):
            raise DuplicateTask(task_id)
        has_room = len(self._running) < self._limits.tasks
        if not has_room and len(self._waiting) >= self._limits.waiting:
            raise TaskManagerFull(task_id)
        self._waiting[task_id] = _Unfinished(task_id, work, timeout, current_trace_id())
        self._start_waiting()

    def cancel(self, task_id: str) -> bool:
        """Ends a task; False where it has ended already.

        One that runs is interrupted where it waits, again and again until it ends; one that
        succeeds nevertheless has succeeded. `wait` tells what came of it.

        Raises:
            UnknownTask
        """
        if task := self._waiting.pop(task_id, None):
            self._finish(task, TaskStatus.CANCELLED)
            return True
        if task := self._running.get(task_id):
            task.scope.cancel()
            return True
        self._outcome(task_id)
        return False

    def status(self, task_id: str) -> TaskStatus:
        """Raises UnknownTask."""
        if task_id in self._waiting:
            return TaskStatus.QUEUED
        if task_id in self._running:
            return TaskStatus.RUNNING
        return self._outcome(task_id).status

    def result(self, task_id: str) -> object:
        """What the task has returned.

        Raises:
            UnknownTask, NoResult
            BaseException: what a task that failed has raised.
        """
        if (error := self.error(task_id)) is not None:
            raise error.with_traceback(None)
        if (status := self.status(task_id)) is not TaskStatus.SUCCEEDED:
            raise NoResult(f"{task_id}: {status}")
        return self._outcome(task_id).result

    def error(self, task_id: str) -> BaseException | None:
        """What a task that failed has raised, else None. Raises UnknownTask."""
        if task_id in self._waiting or task_id in self._running:
            return None
        return self._outcome(task_id).error

    async def wait(self, task_id: str) -> TaskStatus:
        """Its status at its end. Raises UnknownTask."""
        task = self._waiting.get(task_id) or self._running.get(task_id)
        if task is None:
            return self._outcome(task_id).status
        # Whoever waits may be cancelled; the others go on waiting.
        return (await asyncio.shield(task.finished)).status

    async def run_in_thread[*A, R](self, function: Callable[[*A], R], *args: *A) -> R:
        """Calls a function that blocks, in one of the manager's threads.

        A thread cannot be interrupted: whoever is cancelled meanwhile ends when it returns.
        """
        return await anyio.to_thread.run_sync(function, *args, limiter=self._threads)

    @property
    def unfinished(self) -> int:
        """How many wait or run."""
        return len(self._waiting) + len(self._running)

    def drain_by(self, moment: float) -> None:
        """From a stop that has begun: no drain lasts beyond this time of `time.monotonic`."""
        self._drained_by = moment

    async def drain(self, seconds: float) -> None:
        """Takes no more tasks, cancels those that wait, and those that run when time is over."""
        self._is_closed = True
        for task_id in list(self._waiting):
            self.cancel(task_id)
        left = min(seconds, self._drained_by - time.monotonic())
        await self._wait_for_all(max(left - UNWIND_SECONDS, 0))
        for task_id in list(self._running):
            self.cancel(task_id)
        await self._wait_for_all(UNWIND_SECONDS)
        for task_id in self._running:
            _log.bind(task_id=task_id).error("a task does not end")

    async def _wait_for_all(self, seconds: float) -> None:
        if self._loop_tasks:
            await asyncio.wait(self._loop_tasks, timeout=seconds)

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._limits.tasks:
            task = self._waiting.pop(next(iter(self._waiting)))
            self._running[task.id] = task
            loop_task = asyncio.create_task(self._run(task), name=task.id)
            self._loop_tasks.add(loop_task)
            loop_task.add_done_callback(self._loop_tasks.discard)

    async def _run(self, task: _Unfinished) -> None:
        set_trace_id(task.trace_id)
        status, result, raised = TaskStatus.FAILED, None, None
        try:
            with task.scope:
                await anyio.lowlevel.checkpoint_if_cancelled()
                with anyio.move_on_after(task.timeout) as limit:
                    result = await task.work()
                status = TaskStatus.TIMED_OUT if limit.cancelled_caught else TaskStatus.SUCCEEDED
            if task.scope.cancelled_caught:
                status = TaskStatus.CANCELLED
        except (KeyboardInterrupt, SystemExit):  # the end of the process, not of this task
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the work raises is its outcome
            _log.bind(task_id=task.id).opt(exception=error).error("task failed")
            raised = error.with_traceback(None)
        finally:
            del self._running[task.id]
            self._finish(task, status, result, raised)
            self._start_waiting()

    def _finish(
        self,
        task: _Unfinished,
        status: TaskStatus,
        result: object = None,
        error: BaseException | None = None,
    ) -> None:
        outcome = _Outcome(status, time.monotonic(), result, error)
        self._finished[task.id] = outcome
        task.finished.set_result(outcome)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._limits.kept_seconds
        while self._finished:
            task_id, outcome = next(iter(self._finished.items()))
            if len(self._finished) <= self._limits.kept and outcome.at > oldest:
                return
            del self._finished[task_id]

    def _outcome(self, task_id: str) -> _Outcome:
        self._forget_old()
        if (outcome := self._finished.get(task_id)) is None:
            raise UnknownTask(task_id)
        return outcome


@asynccontextmanager
async def open_task_manager(
    drain_seconds: float, limits: TaskLimits | None = None
) -> AsyncGenerator[TaskManager]:
    """A manager for as long as the block; at its end, tasks get so long to finish."""
    manager = TaskManager(limits or TaskLimits.of_machine())
    try:
        yield manager
    finally:
        await manager.drain(drain_seconds)
