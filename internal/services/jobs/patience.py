import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from internal.infra.database import DATABASE_AWAY, is_away


async def outlasting[R](
    step: Callable[[], Awaitable[R]], *, at_most: timedelta, rest_seconds: float
) -> R:
    """Does a step, and again while the database is away; raises what it raises after that time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + at_most.total_seconds()
    while True:
        try:
            return await step()
        except DATABASE_AWAY as error:
            if not is_away(error) or loop.time() > until:
                raise
            await asyncio.sleep(rest_seconds)
