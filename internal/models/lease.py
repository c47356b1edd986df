from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Base, binary_string


class Lease(Base):
    """What one holder at a time may do, until it expires on the database's clock.

    The fence grows at every takeover: whoever works under a lease compares it in the transaction
    of the work. `ceiling_ms` belongs to leases of snowflake nodes: no id was ever given above it.
    """

    __tablename__ = "leases"
    __table_args__ = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}  # noqa: RUF012 - SQLAlchemy's form

    name: Mapped[str] = mapped_column(binary_string(64), primary_key=True)
    holder: Mapped[str] = mapped_column(binary_string(64))
    fence: Mapped[int]
    expires_at: Mapped[datetime]
    ceiling_ms: Mapped[int]
