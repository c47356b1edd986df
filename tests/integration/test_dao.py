"""Queries that every model has, on the real database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from internal.core.snowflake import Snowflake, decompose
from internal.dao.base import ListQuery, UnknownField
from internal.infra.statements import UnboundedWrite
from internal.services.unit_of_work import UnitOfWork
from tests.integration.notes import Note, NoteDAO, create_tables

pytestmark = pytest.mark.anyio

NODE, AUTHOR, EDITOR = 7, 1001, 1002


@pytest.fixture
async def uow(engine: AsyncEngine) -> UnitOfWork:
    async with engine.begin() as connection:
        await connection.run_sync(create_tables)
    return UnitOfWork(engine, Snowflake(NODE))


async def add(uow: UnitOfWork, slug: str, stars: int | None = None, title: str = "note") -> int:
    async with uow.begin(AUTHOR) as session:
        return (await NoteDAO(session).create(Note(title=title, slug=slug, stars=stars))).id


async def slugs(uow: UnitOfWork, query: ListQuery) -> list[str]:
    async with uow.begin() as session:
        return [note.slug for note in (await NoteDAO(session).list(query)).rows]


async def read(uow: UnitOfWork, note_id: int) -> Note:
    async with uow.begin() as session:
        return await session.get_one(Note, note_id)


def is_now(instant: datetime) -> bool:
    return abs(datetime.now(UTC) - instant) < timedelta(minutes=1)


async def test_a_new_row_has_an_id_of_our_node_and_says_who_made_it_and_when(
    uow: UnitOfWork,
) -> None:
    note_id = await add(uow, "first")
    note = await read(uow, note_id)
    assert decompose(note.id).node == NODE
    assert (note.creator_id, note.updater_id) == (AUTHOR, AUTHOR)
    assert note.created_at == note.updated_at
    assert is_now(note.created_at)
    assert note.deleted_at is None


async def test_a_row_is_got_by_its_id_and_only_by_it(uow: UnitOfWork) -> None:
    note_id = await add(uow, "here")
    async with uow.begin() as session:
        dao = NoteDAO(session)
        assert (await dao.get(note_id)) is not None
        assert (await dao.get(note_id + 1)) is None


async def test_an_update_sets_columns_and_says_who_and_when(uow: UnitOfWork) -> None:
    note_id, other = await add(uow, "mine", 1), await add(uow, "other", 1)
    before = await read(uow, note_id)
    async with uow.begin(EDITOR) as session:
        assert await NoteDAO(session).update(note_id, {"stars": 5, "title": "better"})
    after = await read(uow, note_id)
    assert (after.stars, after.title, after.slug) == (5, "better", "mine")
    assert (after.creator_id, after.created_at) == (AUTHOR, before.created_at)
    assert after.updater_id == EDITOR
    assert after.updated_at > before.updated_at
    assert (await read(uow, other)).updater_id == AUTHOR


async def test_an_update_is_seen_in_the_rows_that_the_session_holds(uow: UnitOfWork) -> None:
    note_id = await add(uow, "held", 1)
    async with uow.begin(EDITOR) as session:
        dao = NoteDAO(session)
        held = await dao.get(note_id)
        assert held is not None
        await dao.update(note_id, {"stars": 2})
        await session.refresh(held)
        assert (held.stars, held.updater_id) == (2, EDITOR)


async def test_a_changed_row_is_stamped_too(uow: UnitOfWork) -> None:
    note_id = await add(uow, "changed", 1)
    before = await read(uow, note_id)
    async with uow.begin(EDITOR) as session:
        (await session.get_one(Note, note_id)).stars = 9
    after = await read(uow, note_id)
    assert (after.stars, after.updater_id, after.creator_id) == (9, EDITOR, AUTHOR)
    assert after.updated_at > before.updated_at


async def test_an_update_of_many_rows_stamps_each(uow: UnitOfWork) -> None:
    ids = [await add(uow, f"many-{number}", number) for number in range(3)]
    async with uow.begin(EDITOR) as session:
        await session.execute(update(Note).where(Note.stars >= 1).values(title="many"))
    assert [(await read(uow, note_id)).updater_id for note_id in ids] == [AUTHOR, EDITOR, EDITOR]


async def test_the_service_itself_is_nobody(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        note = await NoteDAO(session).create(Note(title="t", slug="s"))
    assert ((await read(uow, note.id)).creator_id, note.updater_id) == (None, None)


async def test_a_deleted_row_is_gone_for_all_who_do_not_ask_for_it(uow: UnitOfWork) -> None:
    note_id, _ = await add(uow, "gone"), await add(uow, "stays")
    async with uow.begin(EDITOR) as session:
        dao = NoteDAO(session)
        assert await dao.soft_delete(note_id)
        assert not await dao.soft_delete(note_id)
        assert not await dao.update(note_id, {"stars": 1})
        assert await dao.count(ListQuery()) == 1
        assert await dao.count(ListQuery(deleted=True)) == 2
    assert await slugs(uow, ListQuery()) == ["stays"]
    assert await slugs(uow, ListQuery(deleted=True)) == ["gone", "stays"]
    async with uow.begin() as session:
        dao = NoteDAO(session)
        assert await dao.get(note_id) is None
        note = await dao.get(note_id, deleted=True)
        assert note is not None
        assert note.deleted_at is not None
        assert is_now(note.deleted_at)
        assert note.updater_id == EDITOR


async def test_a_deleted_row_comes_back_once(uow: UnitOfWork) -> None:
    note_id = await add(uow, "back")
    async with uow.begin() as session:
        assert not await NoteDAO(session).restore(note_id)
        assert await NoteDAO(session).soft_delete(note_id)
    async with uow.begin(EDITOR) as session:
        assert await NoteDAO(session).restore(note_id)
        assert not await NoteDAO(session).restore(note_id)
    note = await read(uow, note_id)
    assert (note.deleted_at, note.updater_id) == (None, EDITOR)


async def test_a_deleted_row_keeps_its_unique_name(uow: UnitOfWork) -> None:
    note_id = await add(uow, "taken")
    async with uow.begin() as session:
        await NoteDAO(session).soft_delete(note_id)
    with pytest.raises(IntegrityError):
        await add(uow, "taken")


async def test_changes_of_a_row_that_is_not_there_say_so(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        dao = NoteDAO(session)
        assert not await dao.update(1, {"stars": 1})
        assert not await dao.soft_delete(1)
        assert not await dao.restore(1)


async def test_lists_come_in_pages_with_the_number_of_all(uow: UnitOfWork) -> None:
    for number in range(7):
        await add(uow, f"n{number}")
    for page, expected in (
        (1, ["n0", "n1", "n2"]),
        (2, ["n3", "n4", "n5"]),
        (3, ["n6"]),
        (4, []),
    ):
        async with uow.begin() as session:
            listing = await NoteDAO(session).list(ListQuery(page=page, limit=3))
        assert [note.slug for note in listing.rows] == expected
        assert listing.total == 7


async def test_lists_are_sorted_by_several_fields_and_the_id_breaks_ties(uow: UnitOfWork) -> None:
    for slug, stars, title in (("a", 1, "x"), ("b", 2, "x"), ("c", 2, "w"), ("d", 1, "x")):
        await add(uow, slug, stars, title)
    for sort, expected in (
        ((), "abcd"),
        (("-id",), "dcba"),
        (("stars",), "adbc"),
        (("-stars", "title"), "cbad"),
        (("title", "-stars"), "cbad"),
        (("-created_at",), "dcba"),
    ):
        assert "".join(await slugs(uow, ListQuery(sort=sort))) == expected, sort


async def test_lists_are_filtered_by_equal_values_and_by_none(uow: UnitOfWork) -> None:
    for slug, stars in (("one", 1), ("two", 2), ("none", None)):
        await add(uow, slug, stars)
    for filters, expected in (
        ({"stars": 2}, ["two"]),
        ({"stars": None}, ["none"]),
        ({"stars": 1, "creator_id": AUTHOR}, ["one"]),
        ({"stars": 1, "creator_id": EDITOR}, []),
        ({"title": "' OR 1=1 -- "}, []),
    ):
        assert await slugs(uow, ListQuery(filters=filters)) == expected
        async with uow.begin() as session:
            assert await NoteDAO(session).count(ListQuery(filters=filters)) == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        *(ListQuery(sort=("slug",)), ListQuery(sort=("-slug",)), ListQuery(sort=("no_such",))),
        *(ListQuery(sort=("id; DROP TABLE notes",)), ListQuery(sort=("--id",))),
        *(ListQuery(filters={"slug": "x"}), ListQuery(filters={"__class__": "x"})),
    ],
)
async def test_fields_outside_of_the_whitelists_are_refused(
    uow: UnitOfWork, query: ListQuery
) -> None:
    async with uow.begin() as session:
        with pytest.raises(UnknownField) as refused:
            await NoteDAO(session).list(query)
    assert refused.value.status == 400
    assert refused.value.data["allowed"] == sorted(
        NoteDAO.sortable if query.sort else NoteDAO.filterable
    )


async def test_a_write_without_a_where_is_never_sent(uow: UnitOfWork) -> None:
    note_id = await add(uow, "safe", 1)
    for statement in (
        update(Note).values(stars=0),
        delete(Note),
        text("UPDATE notes SET stars = 0"),
        text("  delete\nfrom notes"),
    ):
        with pytest.raises(UnboundedWrite):
            await write(uow, statement)
    assert (await read(uow, note_id)).stars == 1


async def test_a_write_with_a_where_is_sent(uow: UnitOfWork) -> None:
    kept, gone = await add(uow, "kept"), await add(uow, "gone")
    await write(uow, delete(Note).where(Note.id == gone))
    await write(uow, text("update notes set stars = 3 where id > 0"))
    async with uow.begin() as session:
        notes = (await session.scalars(select(Note))).all()
    assert [(note.id, note.stars) for note in notes] == [(kept, 3)]


async def write(uow: UnitOfWork, statement: object) -> None:
    async with uow.begin() as session:
        await AsyncSession.execute(session, statement)  # type: ignore[call-overload]
