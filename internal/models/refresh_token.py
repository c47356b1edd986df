from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record, binary_string


class RefreshToken(Record):
    """A token that can be spent once. Only its SHA-256 is known here."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[str] = mapped_column(binary_string(64), unique=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("login_sessions.id"))
    spent_at: Mapped[datetime | None]
