"""What a process remembers of the database, and for how long: the two seconds of a revocation."""

import asyncio

import pytest

from internal.services.recent import MAX_ENTRIES, Recent
from tests.security.clock import Clock

pytestmark = pytest.mark.anyio


class Rows:
    """A database of one value, which counts its readings and can make them wait."""

    def __init__(self) -> None:
        self.value = "before"
        self.readings = 0
        self.started = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self, _key: int) -> str:
        self.readings += 1
        value = self.value
        self.started.set()
        await self.may_answer.wait()
        return value


async def test_what_was_read_is_believed_for_two_seconds_and_no_longer(clock: Clock) -> None:
    rows = Rows()
    recent = Recent(rows.read)
    assert await recent.get(1) == "before"
    rows.value = "after"
    clock.seconds = 2.0
    assert await recent.get(1) == "before"
    clock.seconds = 2.001
    assert await recent.get(1) == "after"
    assert rows.readings == 2


async def test_the_two_seconds_begin_with_the_reading_and_not_with_its_answer(clock: Clock) -> None:
    rows = Rows()
    recent = Recent(rows.read)
    rows.may_answer.clear()
    first = asyncio.create_task(recent.get(1))
    await rows.started.wait()
    rows.value = "after"
    clock.seconds = 1.9
    rows.may_answer.set()
    assert await first == "before"
    clock.seconds = 2.1
    assert await recent.get(1) == "after"


async def test_an_answer_that_took_longer_than_two_seconds_is_not_believed(clock: Clock) -> None:
    rows = Rows()
    recent = Recent(rows.read)
    rows.may_answer.clear()
    first = asyncio.create_task(recent.get(1))
    await rows.started.wait()
    rows.value = "after"
    clock.seconds = 2.1
    rows.may_answer.set()
    assert await first == "after"


async def test_what_is_forgotten_while_it_is_read_is_read_again(clock: Clock) -> None:
    rows = Rows()
    recent = Recent(rows.read)
    rows.may_answer.clear()
    early = asyncio.create_task(recent.get(1))
    await rows.started.wait()
    rows.value = "after"
    recent.forget(1)
    late = asyncio.create_task(recent.get(1))
    await asyncio.sleep(0)
    rows.may_answer.set()
    assert await early == "before"
    assert await late == "after"
    assert await recent.get(1) == "after"


async def test_many_at_once_are_one_reading(clock: Clock) -> None:
    rows = Rows()
    recent = Recent(rows.read)
    assert await asyncio.gather(*(recent.get(1) for _ in range(50))) == ["before"] * 50
    assert rows.readings == 1


async def test_a_reading_that_fails_is_not_remembered(clock: Clock) -> None:
    async def read(_key: int) -> str:
        raise ConnectionError

    recent = Recent(read)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await recent.get(1)


async def test_it_holds_no_more_than_so_many(clock: Clock) -> None:
    """Every id that an attacker makes up is one."""
    rows = Rows()
    recent = Recent(rows.read)
    for key in range(MAX_ENTRIES + 1):
        await recent.get(key)
    await recent.get(0)
    assert rows.readings == MAX_ENTRIES + 2
