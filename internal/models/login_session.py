from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record


class LoginSession(Record):
    """From a login to its end: a family of refresh tokens, of which one is unspent."""

    __tablename__ = "login_sessions"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # Absolute: refreshing does not extend it.
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
