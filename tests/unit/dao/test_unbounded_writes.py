"""An UPDATE or DELETE without a WHERE cannot be written, by any way to the database."""

import pytest
from sqlalchemy import delete, select, text, update

from internal.infra.statements import UnboundedWrite
from tests.unit.dao.records import SCHEMA, Book, Library

pytestmark = pytest.mark.anyio

BOOKS = SCHEMA.tables["books"]


@pytest.mark.parametrize(
    "statement",
    [
        update(Book).values(pages=0),
        delete(Book),
        update(BOOKS).values(pages=0),
        delete(BOOKS),
        update(Book).values(pages=select(Book.pages).where(Book.id == 1).scalar_subquery()),
        text("UPDATE books SET pages = 0"),
        text("  delete from books"),
        text("/* a comment: where */ DELETE FROM books"),
        text("-- where\nDELETE FROM books"),
        text("WITH old AS (SELECT 1) DELETE FROM books"),
        text("Update books Set pages = 0 Returning id"),
    ],
    ids=str,
)
async def test_it_is_refused_and_nothing_is_changed(library: Library, statement: object) -> None:
    await library.add(Book(title="Emma", pages=474))
    with pytest.raises(UnboundedWrite):
        async with library.unit_of_work.begin() as session:
            await session.execute(statement)  # type: ignore[call-overload]
    assert (await library.titles())["Emma"].pages == 474


async def test_sql_that_goes_straight_to_the_driver_is_refused_too(library: Library) -> None:
    await library.add(Book(title="Emma"))
    async with library.engine.begin() as connection:
        for sql in ("DELETE FROM books", "UPDATE books SET pages = 0"):
            with pytest.raises(UnboundedWrite):
                await connection.exec_driver_sql(sql)
    assert "Emma" in await library.titles()


async def test_the_older_forms_of_the_orm_are_refused_too(library: Library) -> None:
    async with library.unit_of_work.begin() as session:
        with pytest.raises(UnboundedWrite):
            await session.run_sync(lambda sync: sync.query(Book).delete())
        with pytest.raises(UnboundedWrite):
            await session.run_sync(lambda sync: sync.query(Book).update({"pages": 0}))


async def test_a_write_with_a_where_passes(library: Library) -> None:
    emma, other = await library.add(Book(title="Emma"), Book(title="Persuasion"))
    async with library.unit_of_work.begin() as session:
        await session.execute(update(Book).where(Book.id == emma).values(pages=1))
        await session.execute(update(Book), [{"id": emma, "pages": 2}, {"id": other, "pages": 3}])
        await session.execute(text("UPDATE books SET read_at = NULL\nWHERE id = 0"))
        held = await session.get_one(Book, other)
        held.pages = 4
        await session.flush()
        await session.delete(held)
        await session.flush()
        await session.execute(delete(Book).where(Book.title == "none"))
    found = await library.titles()
    assert {title: book.pages for title, book in found.items()} == {"Emma": 2}


async def test_what_only_looks_like_a_write_passes(library: Library) -> None:
    async with library.unit_of_work.begin() as session:
        assert await session.scalar(text("SELECT 'delete from books'")) == "delete from books"
        await session.execute(text("WITH deleted AS (SELECT 1) SELECT * FROM deleted"))
        await session.execute(text("CREATE TABLE updates (id INTEGER)"))
