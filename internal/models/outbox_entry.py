from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Base, binary_string


class OutboxEntry(Base):
    """A job that is to be handed to the broker when it is due; written with the job, in one commit.

    The key is in the order in which entries are taken.
    """

    __tablename__ = "outbox_entries"
    __table_args__ = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}  # noqa: RUF012 - SQLAlchemy's form

    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    queue: Mapped[str] = mapped_column(binary_string(32))
