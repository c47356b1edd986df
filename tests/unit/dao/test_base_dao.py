"""What every DAO can do, on SQLite; MariaDB's part of it is for the integration tests."""

import pytest
from sqlalchemy.exc import IntegrityError

from internal.core.errors import BadRequest
from internal.dao.base import MAX_LIMIT, BaseDAO, Listing, ListQuery, UnknownField
from tests.unit.dao.records import Book, BookDAO, Library

pytestmark = pytest.mark.anyio


def titles(listing: Listing[Book]) -> list[str]:
    return [book.title for book in listing.rows]


async def test_a_created_row_has_its_id_and_can_be_got(library: Library) -> None:
    async with library.books() as (_, dao):
        book = await dao.create(Book(title="Emma", pages=474))
        assert book.id > 0
        assert await dao.get(book.id) is book
    async with library.books() as (_, dao):
        found = await dao.get(book.id)
        assert found is not None
        assert (found.title, found.pages, found.deleted_at) == ("Emma", 474, None)


async def test_a_row_that_is_not_there_is_none(library: Library) -> None:
    async with library.books() as (_, dao):
        assert await dao.get(1) is None
        assert await dao.update(1, {"pages": 1}) is False
        assert await dao.soft_delete(1) is False
        assert await dao.restore(1) is False


async def test_a_list_is_one_page_and_the_total_of_all(library: Library) -> None:
    await library.add(*(Book(title=f"{number:02}") for number in range(25)))
    async with library.books() as (_, dao):
        for page, expected in ((1, range(10)), (3, range(20, 25)), (4, range(0))):
            listing = await dao.list(ListQuery(page=page, limit=10))
            assert titles(listing) == [f"{number:02}" for number in expected]
            assert listing.total == 25


async def test_a_list_is_sorted_by_fields_down_and_up_and_by_id_at_last(library: Library) -> None:
    first, second, third, _ = await library.add(
        *(Book(title=title, pages=pages) for title, pages in zip("dbac", (2, 1, 2, 1), strict=True))
    )
    assert first < second < third
    for sort, expected in (
        ((), "dbac"),
        (("title",), "abcd"),
        (("-title",), "dcba"),
        (("pages", "title"), "bcad"),
        (("-pages", "title"), "adbc"),
        (("pages",), "bcda"),
        (("-pages",), "dabc"),
        (("-id",), "cabd"),
        (("created_at", "-updated_at"), None),
    ):
        async with library.books() as (_, dao):
            listing = await dao.list(ListQuery(sort=sort))
            assert expected is None or "".join(titles(listing)) == expected
            assert len(listing.rows) == 4


async def test_ids_break_ties_whatever_the_order_of_insertion(library: Library) -> None:
    for book_id in (7, 3, 9, 1):
        await library.add(Book(id=book_id, title=str(book_id), pages=1))
    async with library.books() as (_, dao):
        for sort in ((), ("pages",), ("-pages",)):
            assert titles(await dao.list(ListQuery(sort=sort))) == ["1", "3", "7", "9"]


async def test_filters_are_equalities_and_none_is_null(library: Library) -> None:
    await library.add(
        Book(title="Emma", pages=474), Book(title="Persuasion", pages=249), Book(title="Sanditon")
    )
    async with library.books() as (_, dao):
        for filters, expected in (
            ({"pages": 249}, ["Persuasion"]),
            ({"pages": None}, ["Sanditon"]),
            ({"pages": 474, "title": "Emma"}, ["Emma"]),
            ({"pages": 474, "title": "Sanditon"}, []),
            ({"title": "x' OR 1=1 --"}, []),
            ({"title": "%"}, []),
        ):
            query = ListQuery(filters=filters)
            assert titles(await dao.list(query)) == expected
            assert await dao.count(query) == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        ListQuery(sort=["deleted_at"]),
        ListQuery(sort=["-deleted_at"]),
        ListQuery(sort=["--title"]),
        ListQuery(sort=["title; DROP TABLE books"]),
        ListQuery(sort=["metadata"]),
        ListQuery(sort=[""]),
        ListQuery(filters={"id": 1}),
        ListQuery(filters={"deleted_at": None}),
        ListQuery(filters={"__class__": 1}),
    ],
)
async def test_a_field_outside_of_the_whitelists_is_the_callers_error(
    library: Library, query: ListQuery
) -> None:
    async with library.books() as (_, dao):
        with pytest.raises(UnknownField) as caught:
            await dao.list(query)
    assert isinstance(caught.value, BadRequest)
    named = query.sort[0].removeprefix("-") if query.sort else next(iter(query.filters))
    allowed = BookDAO.sortable if query.sort else BookDAO.filterable
    assert caught.value.data == {"field": named, "allowed": sorted(allowed)}


def test_a_dao_that_says_nothing_offers_no_filters_and_the_audit_columns_to_sort() -> None:
    assert BaseDAO.filterable == frozenset()
    assert BaseDAO.sortable == {"id", "created_at", "updated_at"}


@pytest.mark.parametrize(("page", "limit"), [(0, 20), (-1, 20), (1, 0), (1, MAX_LIMIT + 1)])
def test_a_page_out_of_range_cannot_be_asked_for(page: int, limit: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        ListQuery(page=page, limit=limit)


async def test_an_update_changes_one_row_and_what_the_session_has_of_it(library: Library) -> None:
    emma, other = await library.add(Book(title="Emma"), Book(title="Persuasion"))
    async with library.books() as (_, dao):
        held = await dao.get(emma)
        assert held is not None
        assert await dao.update(emma, {"pages": 474, "title": "EMMA"})
        assert (held.pages, held.title) == (474, "EMMA")
    found = await library.titles()
    assert found["EMMA"].id == emma
    assert found["Persuasion"].id == other
    assert found["Persuasion"].pages is None


async def test_a_deleted_row_is_gone_for_all_who_do_not_ask_for_it(library: Library) -> None:
    emma, _ = await library.add(Book(title="Emma"), Book(title="Persuasion"))
    async with library.books() as (_, dao):
        held = await dao.get(emma)
        assert held is not None
        assert await dao.soft_delete(emma)
        assert held.deleted_at is not None
        assert await dao.get(emma) is None
        assert titles(await dao.list(ListQuery())) == ["Persuasion"]
        assert await dao.count(ListQuery()) == 1
        assert await dao.update(emma, {"pages": 1}) is False
        assert await dao.soft_delete(emma) is False
        assert await dao.get(emma, deleted=True) is held
        assert titles(await dao.list(ListQuery(deleted=True))) == ["Emma", "Persuasion"]
        assert await dao.count(ListQuery(deleted=True)) == 2


async def test_a_deleted_row_can_be_restored_once(library: Library) -> None:
    (emma,) = await library.add(Book(title="Emma", pages=474))
    async with library.books() as (_, dao):
        assert await dao.restore(emma) is False
        assert await dao.soft_delete(emma)
        assert await dao.restore(emma)
        assert await dao.restore(emma) is False
        found = await dao.get(emma)
        assert found is not None
        assert (found.pages, found.deleted_at) == (474, None)


async def test_a_deleted_rows_unique_name_stays_taken(library: Library) -> None:
    (emma,) = await library.add(Book(title="Emma"))
    async with library.books() as (_, dao):
        await dao.soft_delete(emma)
    with pytest.raises(IntegrityError):
        await library.add(Book(title="Emma"))
