"""A model to try what every model has, and its DAO."""

from typing import ClassVar

from sqlalchemy import Connection, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column

from internal.dao.base import BaseDAO
from internal.models.base import Base, Record, binary_string


class Note(Record):
    # Metadata of its own: the schema of the service stays what its own models say.
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    __tablename__ = "notes"

    title: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(binary_string(64), unique=True)
    stars: Mapped[int | None]


class NoteDAO(BaseDAO[Note]):
    model = Note
    sortable: ClassVar[frozenset[str]] = BaseDAO.sortable | {"title", "stars"}
    filterable: ClassVar[frozenset[str]] = frozenset({"title", "stars", "creator_id"})


def create_tables(connection: Connection) -> None:
    Note.metadata.create_all(connection)
