"""What every table has in common."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.dialects.mysql import DATETIME, VARCHAR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes with microseconds, on databases whose own are naive."""

    impl = DateTime().with_variant(DATETIME(fsp=6), "mysql")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is ambiguous; use an aware one")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


def binary_string(length: int) -> String:
    """Text that is compared byte for byte: keys, tokens, digests."""
    return String(length).with_variant(
        VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql"
    )


class Base(DeclarativeBase):
    # Names of constraints are needed to change them later, on every database alike.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), int: BigInteger()}  # noqa: RUF012 - SQLAlchemy's form


class Record(Base):
    """A row with its audit columns. The unit of work fills them; models never do.

    A row with `deleted_at` is deleted for everyone who does not ask for deleted ones; the unique
    names that it holds stay taken.
    """

    __abstract__ = True
    __table_args__ = {  # noqa: RUF012 - SQLAlchemy's form
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
    }

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    creator_id: Mapped[int | None]
    created_at: Mapped[datetime]
    updater_id: Mapped[int | None]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
