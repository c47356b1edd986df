from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from internal.models.base import Base, binary_string


class JobEvent(Base):
    """A change of a job's status, numbered from 1 within the job."""

    __tablename__ = "job_events"
    __table_args__ = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}  # noqa: RUF012 - SQLAlchemy's form

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(binary_string(16))
    attempt: Mapped[int]
    at: Mapped[datetime]
    message: Mapped[str | None] = mapped_column(Text())
