"""Column types: what the database gives back is what was put in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable

from internal.models.base import UtcDateTime, binary_string
from tests.unit.dao.records import SCHEMA, Book, Library


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_an_aware_time_comes_back_the_same_to_the_microsecond_in_utc(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:  # the first and last day of the calendar, elsewhere
        return
    column = UtcDateTime()
    stored = column.process_bind_param(moment, sqlite.dialect())
    assert stored is not None
    assert stored.tzinfo is None
    back = column.process_result_value(stored, sqlite.dialect())
    assert back == expected
    assert back.tzinfo is UTC


@pytest.mark.anyio
async def test_it_comes_back_from_a_database(library: Library) -> None:
    shanghai = timezone(timedelta(hours=8))
    moment = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=shanghai)
    await library.add(Book(title="Emma", read_at=moment), Book(title="Persuasion"))
    async with library.engine.connect() as connection:
        raw = await connection.scalar(text("SELECT read_at FROM books WHERE title = 'Emma'"))
    assert raw == "2024-02-29 15:59:59.999999"
    found = await library.titles()
    assert found["Emma"].read_at == moment
    assert found["Emma"].read_at.tzinfo is UTC
    assert found["Persuasion"].read_at is None


@pytest.mark.anyio
async def test_a_naive_time_is_refused_because_it_is_ambiguous(library: Library) -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001 - the very thing
    with pytest.raises(StatementError, match="a naive datetime is ambiguous"):
        await library.add(Book(title="Emma", read_at=naive))


def test_on_mysql_times_have_microseconds_and_keys_are_compared_as_bytes() -> None:
    ddl = str(CreateTable(SCHEMA.tables["books"]).compile(dialect=mysql.dialect()))
    assert "id BIGINT NOT NULL" in ddl
    assert "created_at DATETIME(6) NOT NULL" in ddl
    assert "deleted_at DATETIME(6)" in ddl
    assert "title VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL" in ddl
    assert "CONSTRAINT pk_books PRIMARY KEY (id)" in ddl
    assert "CONSTRAINT uq_books_title UNIQUE (title)" in ddl
    assert "ENGINE=InnoDB CHARSET=utf8mb4" in ddl.replace("  ", " ")
    assert "AUTO_INCREMENT" not in ddl


def test_every_record_has_the_audit_columns() -> None:
    own = {"title", "pages", "read_at"}
    columns = [column for column in SCHEMA.tables["books"].columns if column.name not in own]
    assert {column.name: column.nullable for column in columns} == {
        "id": False,
        "creator_id": True,
        "created_at": False,
        "updater_id": True,
        "updated_at": False,
        "deleted_at": True,
    }


def test_binary_text_is_text_where_there_is_no_mysql() -> None:
    engine = create_engine("sqlite://")
    assert binary_string(7).compile(dialect=engine.dialect) == "VARCHAR(7)"
    engine.dispose()
