from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Base, binary_string


class SchedulerTick(Base):
    """A run of a periodic job, written in the transaction of its effect: it happens once."""

    __tablename__ = "scheduler_ticks"
    __table_args__ = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}  # noqa: RUF012 - SQLAlchemy's form

    # The time first: that is how old ones are deleted.
    scheduled_at: Mapped[datetime] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(binary_string(64), primary_key=True)
    fence: Mapped[int]
    ran_at: Mapped[datetime]
