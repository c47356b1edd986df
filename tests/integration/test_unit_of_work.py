"""One transaction a piece of work: all of it, or nothing."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.core.snowflake import IdsUnavailable, Snowflake
from internal.services.unit_of_work import AfterCommit, UnitOfWork, after_commit
from tests.integration.notes import Note, create_tables

pytestmark = pytest.mark.anyio


@pytest.fixture
async def uow(engine: AsyncEngine) -> UnitOfWork:
    async with engine.begin() as connection:
        await connection.run_sync(create_tables)
    return UnitOfWork(engine, Snowflake(1))


async def slugs(uow: UnitOfWork) -> list[str]:
    async with uow.begin() as session:
        return list((await session.scalars(select(Note.slug).order_by(Note.id))).all())


async def test_work_that_ends_is_committed(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        session.add_all([Note(title="t", slug="a"), Note(title="t", slug="b")])
    assert await slugs(uow) == ["a", "b"]


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_work_that_raises_leaves_nothing(uow: UnitOfWork, error: type[BaseException]) -> None:
    with pytest.raises(error):
        await flush_and_raise(uow, error)
    assert await slugs(uow) == []


async def flush_and_raise(uow: UnitOfWork, error: type[BaseException]) -> None:
    async with uow.begin() as session:
        session.add(Note(title="t", slug="half"))
        await session.flush()
        raise error


async def test_a_refused_row_takes_the_rest_of_its_work_with_it(uow: UnitOfWork) -> None:
    with pytest.raises(IntegrityError):
        await add_all(uow, "a", "b", "a")
    assert await slugs(uow) == []


async def add_all(uow: UnitOfWork, *slugs: str) -> None:
    async with uow.begin() as session:
        session.add_all([Note(title="t", slug=slug) for slug in slugs])


async def test_what_is_not_committed_is_seen_by_nobody_else(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        session.add(Note(title="t", slug="mine"))
        await session.flush()
        assert await slugs(uow) == []
    assert await slugs(uow) == ["mine"]


async def test_rows_can_be_read_after_the_commit(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        note = Note(title="t", slug="s")
        session.add(note)
    assert (note.slug, note.created_at.tzinfo is not None) == ("s", True)


async def test_without_a_node_no_row_is_written(engine: AsyncEngine, uow: UnitOfWork) -> None:
    with pytest.raises(IdsUnavailable):
        await add_all(UnitOfWork(engine, Snowflake(None)), "no id")
    assert await slugs(uow) == []


async def test_many_at_once_get_an_id_each(uow: UnitOfWork) -> None:
    await asyncio.gather(*(add_all(uow, f"{number}") for number in range(50)))
    assert sorted(await slugs(uow), key=int) == [f"{number}" for number in range(50)]


async def test_what_is_to_be_done_after_a_commit_is_done_then_in_order_and_else_never(
    uow: UnitOfWork,
) -> None:
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await slugs(uow))

    async with uow.begin() as session:
        session.add(Note(title="t", slug="mine"))
        after_commit(session, look)
        after_commit(session, look)
        await session.flush()
        assert seen == []
    assert seen == [["mine"]] * 2
    with pytest.raises(LookupError):
        await do_after_commit_and_raise(uow, look)
    assert len(seen) == 2


async def do_after_commit_and_raise(uow: UnitOfWork, work: AfterCommit) -> None:
    async with uow.begin() as session:
        after_commit(session, work)
        raise LookupError


async def test_what_is_to_be_done_after_a_commit_is_done_where_nobody_knows_whether_it_was(
    uow: UnitOfWork,
) -> None:
    """A cache would go on with the row as it was."""
    done: list[str] = []

    async def forget() -> None:
        done.append("forgotten")

    async def write() -> None:
        async with uow.begin() as session:
            session.add(Note(title="t", slug="mine"))
            after_commit(session, forget)
            await session.flush()
            asyncio.get_running_loop().call_soon(writing.cancel)  # while the server commits

    writing = asyncio.create_task(write())
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert done == ["forgotten"]


async def test_the_loser_of_a_deadlock_commits_nothing_more(uow: UnitOfWork) -> None:
    """Its transaction has ended, and what comes after would be committed statement by statement."""
    async with uow.begin() as session:
        session.add_all([Note(title="t", slug="a"), Note(title="t", slug="b")])
    both_hold_one = asyncio.Barrier(2)
    outcomes = await asyncio.gather(
        lock_both_and_go_on(uow, both_hold_one, "a", "b"),
        lock_both_and_go_on(uow, both_hold_one, "b", "a"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome] == [PendingRollbackError]
    assert len(await slugs(uow)) == 3  # the winner's too


async def lock_both_and_go_on(uow: UnitOfWork, both_hold_one: asyncio.Barrier, *slugs: str) -> None:
    async with uow.begin() as session:
        for slug in slugs:
            with suppress(OperationalError):
                await session.scalars(select(Note).where(Note.slug == slug).with_for_update())
            if slug == slugs[0]:
                await both_hold_one.wait()
        session.add(Note(title="t", slug=f"after {slugs}"))
