from datetime import datetime

from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from internal.models.base import Record, binary_string


class IdempotencyKey(Record):
    """A request that was carried out, and its reply, for as long as it may be repeated."""

    __tablename__ = "idempotency_keys"

    # SHA-256 of caller, method, path and key: together they are too long for an index.
    request_hash: Mapped[str] = mapped_column(binary_string(64), unique=True)
    body_hash: Mapped[str] = mapped_column(binary_string(64))
    # JSON of the reply's data; null where it holds a secret.
    reply: Mapped[str | None] = mapped_column(Text().with_variant(MEDIUMTEXT(), "mysql"))
    expires_at: Mapped[datetime]
