from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record, binary_string


class User(Record):
    """A person with an account. A deleted user keeps the username."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(binary_string(128), unique=True)
    display_name: Mapped[str] = mapped_column(String(128))
    password_hash: Mapped[str] = mapped_column(binary_string(60))
    role: Mapped[str] = mapped_column(binary_string(16))
    # Raised when tokens issued before must no longer be believed.
    token_version: Mapped[int]
    disabled_at: Mapped[datetime | None]

    @property
    def disabled(self) -> bool:
        return self.disabled_at is not None
