"""One transaction per piece of work, and the audit columns of what it writes."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Executable, delete, insert, select, text, update

from internal.core.snowflake import IdsUnavailable, Snowflake, decompose
from internal.services.unit_of_work import UnitOfWork
from tests.unit.dao.records import Book, Library, Shelf

pytestmark = pytest.mark.anyio


def is_now(moment: datetime) -> bool:
    return moment.tzinfo is UTC and abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


async def test_it_commits_when_the_block_ends(library: Library) -> None:
    async with library.unit_of_work.begin() as session:
        session.add(Book(title="Emma"))
    assert "Emma" in await library.titles()


async def test_it_rolls_back_when_the_block_raises(library: Library) -> None:
    async def write_and_fail() -> None:
        async with library.unit_of_work.begin() as session:
            session.add(Book(title="Emma"))
            await session.flush()
            raise RuntimeError("on second thoughts")

    with pytest.raises(RuntimeError, match="on second thoughts"):
        await write_and_fail()
    assert await library.titles() == {}


async def test_rows_can_be_read_after_the_commit(library: Library) -> None:
    async with library.unit_of_work.begin() as session:
        book = Book(title="Emma", pages=474)
        session.add(book)
    assert (book.title, book.pages) == ("Emma", 474)


async def test_a_new_row_gets_an_id_of_our_node_and_its_audit_columns(library: Library) -> None:
    async with library.unit_of_work.begin(actor_id=7) as session:
        book = Book(title="Emma")
        session.add(book)
    assert decompose(book.id).node == 1
    assert is_now(decompose(book.id).time)
    assert (book.creator_id, book.updater_id) == (7, 7)
    assert book.created_at == book.updated_at
    assert is_now(book.created_at)
    assert book.deleted_at is None


async def test_an_id_that_was_given_is_kept(library: Library) -> None:
    await library.add(Book(id=42, title="Emma"))
    assert (await library.titles())["Emma"].id == 42


async def test_what_a_model_says_of_its_author_does_not_count(library: Library) -> None:
    long_ago = datetime(1815, 12, 23, tzinfo=UTC)
    await library.add(
        Book(title="Emma", creator_id=1, updater_id=1, created_at=long_ago, updated_at=long_ago),
        actor_id=7,
    )
    book = (await library.titles())["Emma"]
    assert (book.creator_id, book.updater_id) == (7, 7)
    assert is_now(book.created_at)


async def test_a_change_of_a_row_is_stamped_and_its_creation_stays(library: Library) -> None:
    (emma,) = await library.add(Book(title="Emma"), actor_id=7)
    created = (await library.titles())["Emma"].created_at
    async with library.unit_of_work.begin(actor_id=8) as session:
        (await session.get_one(Book, emma)).pages = 474
    book = (await library.titles())["Emma"]
    assert (book.creator_id, book.updater_id) == (7, 8)
    assert book.created_at == created
    assert book.updated_at > created


async def test_a_row_that_was_only_looked_at_or_set_to_what_it_is_is_not_stamped(
    library: Library,
) -> None:
    (emma,) = await library.add(Book(title="Emma"), actor_id=7)
    async with library.unit_of_work.begin(actor_id=8) as session:
        held = await session.get_one(Book, emma)
        held.title = "Emma"
    assert (await library.titles())["Emma"].updater_id == 7


async def test_an_update_statement_is_stamped_like_one_of_a_row(library: Library) -> None:
    await library.add(Book(title="Emma"), Book(title="Persuasion"), actor_id=7)
    async with library.unit_of_work.begin(actor_id=8) as session:
        await session.execute(update(Book).where(Book.pages.is_(None)).values(pages=1))
    for book in (await library.titles()).values():
        assert (book.pages, book.creator_id, book.updater_id) == (1, 7, 8)
        assert book.updated_at > book.created_at


async def test_soft_delete_and_restore_are_stamped_with_who_did_it(library: Library) -> None:
    (emma,) = await library.add(Book(title="Emma"), actor_id=7)
    async with library.books(actor_id=8) as (_, dao):
        await dao.soft_delete(emma)
    deleted = (await library.titles())["Emma"]
    assert deleted.updater_id == 8
    assert deleted.deleted_at is not None
    assert is_now(deleted.deleted_at)
    async with library.books(actor_id=None) as (_, dao):
        await dao.restore(emma)
    assert (await library.titles())["Emma"].updater_id is None


async def test_the_service_itself_writes_on_nobodys_behalf(library: Library) -> None:
    await library.add(Book(title="Emma"))
    book = (await library.titles())["Emma"]
    assert (book.creator_id, book.updater_id) == (None, None)


async def test_a_table_without_audit_columns_is_left_alone(library: Library) -> None:
    async with library.unit_of_work.begin(actor_id=7) as session:
        session.add(Shelf(id=1, name="novels"))
    async with library.unit_of_work.begin() as session:
        (await session.get_one(Shelf, 1)).name = "letters"
        await session.flush()
        await session.execute(update(Shelf).where(Shelf.id == 1).values(name="plays"))
    async with library.unit_of_work.begin() as session:
        assert await session.scalar(select(Shelf.name)) == "plays"


async def test_two_at_once_keep_their_actors_apart(library: Library) -> None:
    async with library.unit_of_work.begin(actor_id=7) as one:
        one.add(Book(title="Emma"))
        async with library.unit_of_work.begin(actor_id=8) as other:
            assert (one.info["actor_id"], other.info["actor_id"]) == (7, 8)


async def test_without_a_node_nothing_is_written(library: Library) -> None:
    unit_of_work = UnitOfWork(library.engine, Snowflake(None))
    with pytest.raises(IdsUnavailable):
        async with unit_of_work.begin() as session:
            session.add(Book(title="Emma"))
    assert await library.titles() == {}


@pytest.mark.parametrize(
    "statement",
    [
        insert(Shelf).values(id=1, name="fiction"),
        update(Book).where(Book.title == "Emma").values(pages=1),
        delete(Book).where(Book.title == "Emma"),
        text("DELETE FROM books WHERE title = 'Emma'"),
    ],
    ids=["insert", "update", "delete", "text"],
)
async def test_a_reading_session_sends_no_statement_that_writes(
    library: Library, statement: Executable
) -> None:
    await library.add(Book(title="Emma", pages=474))
    async with library.unit_of_work.read() as session:
        with pytest.raises(RuntimeError, match="use `begin`"):
            await session.execute(statement)
    assert (await library.titles())["Emma"].pages == 474


async def test_a_reading_session_flushes_no_object(library: Library) -> None:
    await library.add(Book(title="Emma", pages=474))
    async with library.unit_of_work.read() as session:
        book = (await session.scalars(select(Book))).one()
        book.pages = 1
        with pytest.raises(RuntimeError, match="use `begin`"):
            await session.commit()
    async with library.unit_of_work.read() as session:
        session.add(Book(id=7, title="Persuasion", pages=249))
        with pytest.raises(RuntimeError, match="use `begin`"):
            await session.flush()
    assert {title: book.pages for title, book in (await library.titles()).items()} == {"Emma": 474}
