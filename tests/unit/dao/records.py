"""A model of the tests' own, in a schema of its own: the service's metadata must not know it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy import MetaData, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from internal.config.settings import Settings
from internal.core.snowflake import Snowflake
from internal.dao.base import BaseDAO
from internal.infra.database import open_database
from internal.models.base import Base, Record, binary_string
from internal.services.unit_of_work import UnitOfWork

SCHEMA = MetaData(naming_convention=Base.metadata.naming_convention)


class Book(Record):
    __tablename__ = "books"
    metadata = SCHEMA

    title: Mapped[str] = mapped_column(binary_string(100), unique=True)
    pages: Mapped[int | None]
    read_at: Mapped[datetime | None]


class Shelf(Base):
    """A table without audit columns."""

    __tablename__ = "shelves"
    metadata = SCHEMA

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(binary_string(100))


class BookDAO(BaseDAO[Book]):
    model = Book
    sortable: ClassVar = BaseDAO.sortable | {"title", "pages"}
    filterable: ClassVar = frozenset({"title", "pages"})


@dataclass
class Library:
    engine: AsyncEngine
    unit_of_work: UnitOfWork

    @asynccontextmanager
    async def books(
        self, actor_id: int | None = None
    ) -> AsyncGenerator[tuple[AsyncSession, BookDAO]]:
        async with self.unit_of_work.begin(actor_id) as session:
            yield session, BookDAO(session)

    async def add(self, *books: Book, actor_id: int | None = None) -> list[int]:
        """Inserts in a transaction of its own; returns the ids."""
        async with self.books(actor_id) as (_, dao):
            return [(await dao.create(book)).id for book in books]

    async def titles(self) -> Mapping[str, Book]:
        """All rows, deleted ones too, read in a transaction of their own."""
        async with self.unit_of_work.begin() as session:
            return {book.title: book for book in await session.scalars(select(Book))}


@asynccontextmanager
async def open_library(settings: Settings) -> AsyncGenerator[Library]:
    """An SQLite file with the tables, and a unit of work on it."""
    async with open_database(settings) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(SCHEMA.create_all)
        yield Library(engine, UnitOfWork(engine, Snowflake(1)))
