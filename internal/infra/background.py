"""Work that goes on in the background, and ends when it is asked to."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager

ASK_AGAIN_SECONDS = 1.0


def is_wanted() -> bool:
    """Whether nobody has cancelled this task: the condition of a loop that outlives errors.

    A database driver that is cancelled in the middle of a statement may raise an error of its own
    instead of the cancellation, while it cleans up. A loop that goes on after errors would go on
    after that one, too.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncGenerator[asyncio.Task[None]]:
    """Work that goes on beside the block and is cancelled at its end, until it has ended."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=ASK_AGAIN_SECONDS)
        if not task.cancelled():
            task.result()
