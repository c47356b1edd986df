"""Work in the background ends when it is asked to, whatever becomes of the cancellation."""

import asyncio

import pytest

from internal.infra import background
from internal.infra.background import is_wanted, resting, running

pytestmark = pytest.mark.anyio


async def raise_something_else() -> None:
    """What a driver does whose connection breaks while it cleans up after a cancellation."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise OSError("the connection is gone") from None


async def test_a_loop_that_outlives_errors_ends_when_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def outlive() -> None:
        while is_wanted():
            try:
                await raise_something_else()
            except OSError:
                await asyncio.sleep(0)

    monkeypatch.setattr(background, "GRACE_SECONDS", 0.01)
    async with running(outlive()) as tasks:
        await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True]


async def test_work_that_swallows_a_cancellation_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(background, "ASK_AGAIN_SECONDS", 0.01)
    asked = 0

    async def stubborn() -> None:
        nonlocal asked
        while asked < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                asked += 1

    async with running(stubborn()):
        await asyncio.sleep(0)
    assert asked == 3


async def test_an_error_of_the_work_is_raised_at_the_end() -> None:
    async def fail() -> None:
        raise ValueError("not foreseen")

    with pytest.raises(ValueError, match="not foreseen"):
        async with running(fail()):
            await asyncio.sleep(0)


async def test_work_is_not_cancelled_in_the_middle_but_where_it_rests() -> None:
    steps: list[str] = []

    async def work() -> None:
        while is_wanted():
            await asyncio.sleep(0.05)  # in the middle of a statement, say
            steps.append("finished")
            with resting():
                await asyncio.sleep(60)

    async with running(work()):
        await asyncio.sleep(0)
    assert steps == ["finished"]


async def test_works_of_one_block_are_asked_to_end_at_the_same_time() -> None:
    is_asked = asyncio.Event()

    async def await_the_other() -> None:
        await is_asked.wait()

    async def rest() -> None:
        try:
            with resting():
                await asyncio.sleep(60)
        finally:
            is_asked.set()

    async with running(await_the_other(), rest()) as tasks:
        await asyncio.sleep(0)
    assert [task.cancelled() for task in tasks] == [False, True]


async def test_the_errors_of_several_works_are_raised_together() -> None:
    async def fail(reason: str) -> None:
        raise ValueError(reason)

    with pytest.RaisesGroup(
        pytest.RaisesExc(ValueError, match="one"), pytest.RaisesExc(ValueError, match="two")
    ):
        async with running(fail("one"), fail("two")):
            await asyncio.sleep(0)
