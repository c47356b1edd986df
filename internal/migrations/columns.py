"""Tables with the audit columns, as revisions from 0002 on create them.

Revisions are history: what is here stays as it is, and a change of a table is a new revision.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Constraint, DateTime, PrimaryKeyConstraint, String
from sqlalchemy.dialects.mysql import DATETIME, VARCHAR


def utc_datetime() -> DateTime:
    return DateTime().with_variant(DATETIME(fsp=6), "mysql")


def binary_string(length: int) -> String:
    return String(length).with_variant(
        VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql"
    )


def create_table(name: str, *parts: Column[object] | Constraint) -> None:
    op.create_table(
        name,
        Column("id", BigInteger, nullable=False, autoincrement=False),
        Column("creator_id", BigInteger),
        Column("created_at", utc_datetime(), nullable=False),
        Column("updater_id", BigInteger),
        Column("updated_at", utc_datetime(), nullable=False),
        Column("deleted_at", utc_datetime()),
        PrimaryKeyConstraint("id", name=f"pk_{name}"),
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
    )
