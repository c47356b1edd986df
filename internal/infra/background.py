"""Work that goes on in the background, and ends when it is asked to."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

GRACE_SECONDS = 5.0
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
async def running(work: Coroutine[object, object, None]) -> AsyncGenerator[asyncio.Task[None]]:
    """Work that goes on beside the block, and is cancelled at its end.

    Where it rests; after a grace wherever it is, and then again until it has ended.
    """
    state = _State()

    async def with_state() -> None:
        _state.set(state)
        await work

    task = asyncio.create_task(with_state())
    try:
        yield task
    finally:
        state.is_stopping = True
        if state.is_resting:
            task.cancel()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=ASK_AGAIN_SECONDS)
        if not task.cancelled():
            task.result()
