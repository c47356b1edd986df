"""The promises of the task manager: true statuses, bounds that hold, and a stop that ends."""

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from internal.core.context import current_trace_id, new_trace_id, set_trace_id
from internal.infra import task_manager
from internal.infra.task_manager import (
    DuplicateTask,
    NoResult,
    TaskLimits,
    TaskManager,
    TaskManagerClosed,
    TaskManagerFull,
    TaskStatus,
    UnknownTask,
    open_task_manager,
)
from tests.unit.infra.log import Log

DEADLINE = 60.0

FINISHED = (TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.TIMED_OUT)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


pytestmark = pytest.mark.anyio


@pytest.fixture
async def tasks(anyio_backend: object) -> AsyncGenerator[TaskManager]:
    async with open_task_manager(0, TaskLimits(tasks=2, threads=2, waiting=5)) as tasks:
        yield tasks


async def forever() -> None:
    await anyio.sleep_forever()


async def nothing() -> None:
    pass


def returning(value: object) -> Callable[[], Awaitable[object]]:
    async def work() -> object:
        return value

    return work


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        raise error

    return work


async def ended(tasks: TaskManager, task_id: str) -> TaskStatus:
    with anyio.fail_after(DEADLINE):
        return await tasks.wait(task_id)


# --- limits of the contract


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, (32, 21)), (8, (32, 21)), (16, (64, 42)), (64, (256, 128)), (512, (256, 128))],
)
async def test_limits_grow_with_the_cores_between_their_bounds(
    cores: int, expected: tuple[int, int]
) -> None:
    limits = TaskLimits.of_machine(cores)
    assert (limits.tasks, limits.threads) == expected


async def test_never_more_than_the_limit_run_at_once_and_all_run_in_their_order() -> None:
    running, most, order = 0, 0, []

    def counted(number: int) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(number)
            await asyncio.sleep(0)
            running -= 1

        return work

    async with open_task_manager(0, TaskLimits(tasks=3, threads=1)) as tasks:
        for number in range(100):
            tasks.submit(f"{number}", counted(number))
        for number in range(100):
            assert await ended(tasks, f"{number}") is TaskStatus.SUCCEEDED
    assert (most, order) == (3, list(range(100)))


async def test_never_more_than_the_limit_of_threads_are_used() -> None:
    here, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def blocking() -> None:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        both.wait(DEADLINE)  # passed by two at once only
        with lock:
            here -= 1

    async with open_task_manager(0, TaskLimits(tasks=8, threads=2)) as tasks:
        with anyio.fail_after(DEADLINE):
            await asyncio.gather(*(tasks.run_in_thread(blocking) for _ in range(8)))
    assert most == 2


async def test_a_function_runs_in_a_thread_with_its_arguments(tasks: TaskManager) -> None:
    assert await tasks.run_in_thread(divmod, 7, 2) == (3, 1)
    assert await tasks.run_in_thread(threading.get_ident) != threading.get_ident()


# --- statuses


async def test_a_task_waits_runs_and_succeeds(tasks: TaskManager) -> None:
    go = asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    for name in ("a", "b", "c"):
        tasks.submit(name, work)
    assert [tasks.status(name) for name in ("a", "b", "c")] == ["running", "running", "queued"]
    assert tasks.unfinished == 3
    with pytest.raises(NoResult, match="a: running"):
        tasks.result("a")
    assert tasks.error("c") is None
    go.set()
    for name in ("a", "b", "c"):
        assert await ended(tasks, name) is tasks.status(name) is TaskStatus.SUCCEEDED
        assert tasks.result(name) == "done"
        assert tasks.error(name) is None
    assert tasks.unfinished == 0


async def test_a_task_that_raises_has_failed_is_logged_once_and_the_manager_goes_on(
    tasks: TaskManager, log: Log
) -> None:
    tasks.submit("bad", raising(ValueError("no good")))
    assert await ended(tasks, "bad") is TaskStatus.FAILED
    for _ in range(2):
        with pytest.raises(ValueError, match="no good"):
            tasks.result("bad")
    assert log.event["message"] == "task failed"
    assert (log.event["level"], log.event["task_id"]) == ("ERROR", "bad")
    assert "ValueError: no good" in log.event["exception"]
    tasks.submit("good", returning(1))
    assert await ended(tasks, "good") is TaskStatus.SUCCEEDED


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), GeneratorExit(), BaseExceptionGroup("two", [GeneratorExit()])],
    ids=lambda error: type(error).__name__,
)
async def test_what_nobody_asked_for_is_a_failure(
    tasks: TaskManager, log: Log, error: BaseException
) -> None:
    tasks.submit("odd", raising(error))
    assert await ended(tasks, "odd") is TaskStatus.FAILED
    assert tasks.error("odd") is error
    assert log.event["task_id"] == "odd"


async def test_a_task_that_takes_too_long_has_timed_out(tasks: TaskManager, log: Log) -> None:
    tasks.submit("slow", forever, timeout=0.01)
    assert await ended(tasks, "slow") is TaskStatus.TIMED_OUT
    with pytest.raises(NoResult, match="slow: timed_out"):
        tasks.result("slow")
    assert log.lines == []


async def test_the_time_that_a_task_waits_does_not_count(tasks: TaskManager) -> None:
    for name in ("a", "b"):
        tasks.submit(name, forever, timeout=0.05)
    tasks.submit("c", nothing, timeout=0.04)
    assert await ended(tasks, "c") is TaskStatus.SUCCEEDED


async def test_a_timeout_of_the_work_itself_is_a_failure(tasks: TaskManager) -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            await forever()

    tasks.submit("own", work, timeout=DEADLINE)
    assert await ended(tasks, "own") is TaskStatus.FAILED
    assert isinstance(tasks.error("own"), TimeoutError)


async def test_the_trace_id_is_the_submitters_also_after_waiting() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return current_trace_id()

    traces = {f"{number}": new_trace_id() for number in range(5)}
    async with open_task_manager(0, TaskLimits(tasks=1, threads=1)) as tasks:
        for name, trace_id in traces.items():
            set_trace_id(trace_id)
            tasks.submit(name, work)
        set_trace_id("")
        for name in traces:
            await ended(tasks, name)
        assert {name: tasks.result(name) for name in traces} == traces


# --- ids


async def test_a_known_id_is_refused_whatever_its_state(tasks: TaskManager) -> None:
    tasks.submit("finished", nothing)
    await ended(tasks, "finished")
    for name in ("running", "running too", "waiting"):
        tasks.submit(name, forever)
    for name in ("finished", "running", "waiting"):
        with pytest.raises(DuplicateTask, match=name):
            tasks.submit(name, nothing)


async def test_an_id_that_is_not_known_is_an_error_everywhere(tasks: TaskManager) -> None:
    for ask in (tasks.status, tasks.result, tasks.error, tasks.cancel):
        with pytest.raises(UnknownTask, match="nobody"):
            ask("nobody")
    with pytest.raises(UnknownTask, match="nobody"):
        await tasks.wait("nobody")


async def test_beyond_its_queue_the_manager_is_full(tasks: TaskManager) -> None:
    for number in range(7):
        tasks.submit(f"{number}", forever)
    with pytest.raises(TaskManagerFull):
        tasks.submit("one more", nothing)
    tasks.cancel("6")
    tasks.submit("one more", nothing)
    assert tasks.status("one more") is TaskStatus.QUEUED


async def test_a_finished_task_is_forgotten_after_its_time_and_its_id_is_free_again() -> None:
    limits = TaskLimits(tasks=1, threads=1, kept_seconds=0)
    async with open_task_manager(0, limits) as tasks:
        for _ in range(2):
            tasks.submit("a", nothing)
            await ended(tasks, "a")
            with pytest.raises(UnknownTask):
                tasks.status("a")


async def test_whoever_waits_learns_the_end_although_it_is_forgotten_at_once() -> None:
    async with open_task_manager(0, TaskLimits(tasks=1, threads=1, kept=0)) as tasks:
        tasks.submit("a", nothing)
        assert await ended(tasks, "a") is TaskStatus.SUCCEEDED
        with pytest.raises(UnknownTask):
            tasks.status("a")


async def test_ten_thousand_tasks_leave_no_more_than_a_few_behind() -> None:
    """Each result is of 10 kB: all of them would be 100 MB."""
    limits = TaskLimits(tasks=32, threads=1, kept=10)

    async def big() -> bytearray:
        await asyncio.sleep(0)
        return bytearray(10_000)

    async with open_task_manager(0, limits) as tasks:
        tracemalloc.start()
        try:
            for number in range(10_000):
                tasks.submit(f"{number}", big)
            await ended(tasks, "9999")
            await tasks.drain(DEADLINE)
            gc.collect()
            left, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        known = 0
        for number in range(10_000):
            with suppress(UnknownTask):
                known += tasks.status(f"{number}") is TaskStatus.SUCCEEDED
    assert known == 10
    assert left < 2_000_000


async def test_a_finished_task_does_not_keep_its_work_or_the_frames_of_its_error(
    tasks: TaskManager,
) -> None:
    class Big:
        pass

    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, Big) for thing in gc.get_objects())

    def submit() -> None:
        held = Big()

        async def work() -> None:
            local = held
            raise ValueError(type(local).__name__)

        tasks.submit("a", work)

    submit()
    assert alive() == 1
    await ended(tasks, "a")
    await asyncio.sleep(0)
    assert (tasks.status("a"), alive()) == ("failed", 0)


# --- cancelling, and its races


async def test_a_waiting_task_is_cancelled_and_never_runs(tasks: TaskManager) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    for name in ("a", "b"):
        tasks.submit(name, forever)
    tasks.submit("c", work)
    assert tasks.cancel("c")
    assert tasks.status("c") is await ended(tasks, "c") is TaskStatus.CANCELLED
    for name in ("a", "b"):
        assert tasks.cancel(name)
        assert await ended(tasks, name) is TaskStatus.CANCELLED
    assert ran == []


async def test_a_task_that_is_cancelled_before_its_first_step_never_runs(
    tasks: TaskManager,
) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    tasks.submit("a", work)
    assert tasks.status("a") is TaskStatus.RUNNING
    assert tasks.cancel("a")
    assert await ended(tasks, "a") is TaskStatus.CANCELLED
    assert ran == []


async def test_a_running_task_is_interrupted_and_may_clean_up(tasks: TaskManager) -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            steps.append("in")
            await forever()
        finally:
            steps.append("out")

    tasks.submit("a", work)
    await asyncio.sleep(0)
    assert tasks.cancel("a")
    assert await ended(tasks, "a") is TaskStatus.CANCELLED
    assert steps == ["in", "out"]
    assert not tasks.cancel("a")


async def test_a_task_that_swallows_the_first_cancellation_is_cancelled_at_its_next_wait(
    tasks: TaskManager,
) -> None:
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        for _ in range(3):
            try:
                await forever()
            except asyncio.CancelledError:
                swallowed += 1
        await forever()

    tasks.submit("a", work)
    await asyncio.sleep(0)
    tasks.cancel("a")
    assert await ended(tasks, "a") is TaskStatus.CANCELLED
    assert swallowed == 3


async def test_a_task_that_returns_in_spite_of_its_cancellation_has_succeeded(
    tasks: TaskManager,
) -> None:
    async def work() -> str:
        with suppress(asyncio.CancelledError):
            await forever()
        return "saved"

    for name, timeout in (("cancelled", None), ("timed out", 0.01)):
        tasks.submit(name, work, timeout=timeout)
    await asyncio.sleep(0)
    tasks.cancel("cancelled")
    for name in ("cancelled", "timed out"):
        assert await ended(tasks, name) is TaskStatus.SUCCEEDED
        assert tasks.result(name) == "saved"


async def test_a_task_that_fails_while_it_is_cancelled_has_failed(tasks: TaskManager) -> None:
    async def work() -> None:
        try:
            await forever()
        finally:
            raise ValueError("the clean-up broke")

    tasks.submit("a", work)
    await asyncio.sleep(0)
    tasks.cancel("a")
    assert await ended(tasks, "a") is TaskStatus.FAILED


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancellation_at_the_moment_of_finishing_tells_the_truth(
    tasks: TaskManager, turns: int
) -> None:
    """The work's last wait ends in some turn of the loop; the cancellation comes around it."""
    reached_end = False

    async def work() -> str:
        nonlocal reached_end
        for _ in range(3):
            await asyncio.sleep(0)
        reached_end = True
        return "done"

    tasks.submit("a", work)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_asked = tasks.cancel("a")
    status = await ended(tasks, "a")
    assert status is (TaskStatus.SUCCEEDED if reached_end else TaskStatus.CANCELLED)
    assert was_asked or status is TaskStatus.SUCCEEDED
    # Nothing of the cancellation is left over for whoever comes next.
    tasks.submit("b", returning("next"))
    assert await ended(tasks, "b") is TaskStatus.SUCCEEDED


async def test_a_timeout_at_the_moment_of_finishing_tells_the_truth(tasks: TaskManager) -> None:
    for number in range(50):
        reached_end = asyncio.Event()

        async def work(reached_end: asyncio.Event = reached_end) -> None:
            await asyncio.sleep(0.002)
            reached_end.set()

        tasks.submit(f"{number}", work, timeout=0.002)
        status = await ended(tasks, f"{number}")
        assert (status is TaskStatus.SUCCEEDED) == reached_end.is_set()
        assert status in {TaskStatus.SUCCEEDED, TaskStatus.TIMED_OUT}


async def test_whoever_stops_waiting_leaves_the_task_and_the_others_alone(
    tasks: TaskManager,
) -> None:
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()

    tasks.submit("a", work)
    patient = asyncio.create_task(tasks.wait("a"))
    with anyio.move_on_after(0.01):
        await tasks.wait("a")
    assert tasks.status("a") is TaskStatus.RUNNING
    go.set()
    with anyio.fail_after(DEADLINE):
        assert await patient is TaskStatus.SUCCEEDED


async def test_a_task_may_submit_and_cancel_others(tasks: TaskManager) -> None:
    async def work() -> TaskStatus:
        tasks.submit("child", forever)
        tasks.cancel("child")
        return await tasks.wait("child")

    tasks.submit("parent", work)
    assert await ended(tasks, "parent") is TaskStatus.SUCCEEDED
    assert tasks.result("parent") is TaskStatus.CANCELLED


async def test_two_managers_know_nothing_of_each_other(tasks: TaskManager) -> None:
    async with open_task_manager(0, TaskLimits(tasks=1, threads=1)) as other:
        tasks.submit("a", forever)
        other.submit("a", nothing)
        assert await ended(other, "a") is TaskStatus.SUCCEEDED
    assert tasks.status("a") is TaskStatus.RUNNING


# --- drain


async def test_a_drain_refuses_new_work_cancels_what_waits_and_lets_finish_what_runs() -> None:
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()

    tasks = TaskManager(TaskLimits(tasks=1, threads=1))
    for name in ("running", "waiting"):
        tasks.submit(name, work)
    drain = asyncio.create_task(tasks.drain(DEADLINE))
    await asyncio.sleep(0)
    with pytest.raises(TaskManagerClosed):
        tasks.submit("late", nothing)
    assert tasks.status("waiting") is TaskStatus.CANCELLED
    assert not drain.done()
    go.set()
    await drain
    assert tasks.status("running") is TaskStatus.SUCCEEDED


async def test_at_the_end_of_a_drain_what_still_runs_is_cancelled(log: Log) -> None:
    tasks = TaskManager(TaskLimits(tasks=1, threads=1))
    tasks.submit("a", forever)
    await tasks.drain(0)
    assert tasks.status("a") is TaskStatus.CANCELLED
    assert log.lines == []


async def test_a_drain_does_not_outlast_the_stop_that_it_belongs_to() -> None:
    tasks = TaskManager(TaskLimits(tasks=1, threads=1))
    tasks.submit("a", forever)
    tasks.drain_by(time.monotonic() - 1)
    with anyio.fail_after(DEADLINE):
        await tasks.drain(10 * DEADLINE)
    assert tasks.status("a") is TaskStatus.CANCELLED


async def test_a_task_that_does_not_end_does_not_hold_up_a_drain_and_is_logged(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_manager, "UNWIND_SECONDS", 0.05)
    go = threading.Event()
    tasks = TaskManager(TaskLimits(tasks=1, threads=1))

    async def work() -> None:
        await tasks.run_in_thread(go.wait)

    tasks.submit("stuck", work)
    await asyncio.sleep(0)
    with anyio.fail_after(DEADLINE):
        await tasks.drain(0)
    assert tasks.status("stuck") is TaskStatus.RUNNING
    assert (log.event["message"], log.event["task_id"]) == ("a task does not end", "stuck")
    go.set()
    assert await ended(tasks, "stuck") in FINISHED
