"""Work that goes on in the background, and ends when it is asked to."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

GRACE_SECONDS = 2.0
ASK_AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class _State:
    is_resting: bool = False
    is_stopping: bool = False


_state: ContextVar[_State | None] = ContextVar("background", default=None)


@contextmanager
def resting() -> Generator[None]:
    """Where work in the background waits, and has nothing in its hands: there it is ended.

    A database driver that is cancelled in the middle of a statement may leave a connection that is
    neither open nor closed, and aiosqlite one that is waited for without end.
    """
    state = _state.get()
    if state is None:
        yield
        return
    if state.is_stopping:
        raise asyncio.CancelledError
    state.is_resting = True
    try:
        yield
    finally:
        state.is_resting = False


def is_wanted() -> bool:
    """Whether nobody has cancelled this task: the condition of a loop that outlives errors.

    A driver that is cancelled may raise an error of its own instead of the cancellation, while it
    cleans up. A loop that goes on after errors would go on after that one, too.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


@asynccontextmanager
async def running(
    *works: Coroutine[object, object, None],
) -> AsyncGenerator[list[asyncio.Task[None]]]:
    """Works that go on beside the block, and are cancelled at its end, all at the same time.

    Where they rest; after a grace wherever they are, and then again until they have ended.

    Raises:
        BaseExceptionGroup: more than one of them failed. If it is one, its own exception.
    """
    states = [_State() for _ in works]
    tasks = [asyncio.create_task(_with(*pair)) for pair in zip(states, works, strict=True)]
    try:
        yield tasks
    finally:
        for state, task in zip(states, tasks, strict=True):
            state.is_stopping = True
            if state.is_resting:
                task.cancel()
        _, left = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=ASK_AGAIN_SECONDS)
        errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
        if errors:
            raise errors[0] if len(errors) == 1 else BaseExceptionGroup("background", errors)


async def _with(state: _State, work: Coroutine[object, object, None]) -> None:
    _state.set(state)
    await work
