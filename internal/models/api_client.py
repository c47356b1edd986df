from datetime import datetime
from typing import Literal

from sqlalchemy import JSON, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record, binary_string

type Slot = Literal[1, 2]


class ApiClient(Record):
    """A service that signs its requests. Two secrets are valid at once, so that one can be rotated.

    The secrets are ENC forms, each bound to this client and its slot.
    """

    __tablename__ = "api_clients"

    client_id: Mapped[str] = mapped_column(binary_string(40), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    secret_1: Mapped[str | None] = mapped_column(Text)
    secret_2: Mapped[str | None] = mapped_column(Text)
    newest_slot: Mapped[Slot] = mapped_column(SmallInteger)
    revoked_at: Mapped[datetime | None]

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None

    @property
    def secrets(self) -> int:
        """How many secrets are valid now."""
        return 0 if self.revoked else sum(s is not None for s in (self.secret_1, self.secret_2))
