"""Work that several wait for at once is done once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable


class SingleFlight[K: Hashable, V]:
    """What is under way, by its key. Everybody who waits gets its result, or its error."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, work: Callable[[], Coroutine[None, None, V]]) -> V:
        """The result of the work under way, or else of one that begins now."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(task)  # one who leaves does not send the others away

    def forget(self, key: K) -> None:
        """Nobody joins any more what is under way now."""
        self._under_way.pop(key, None)

    def _end(self, key: K, task: asyncio.Task[V]) -> None:
        if self._under_way.get(key) is task:
            del self._under_way[key]
        if not task.cancelled():
            task.exception()  # all who wait may have left
