from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from internal.models.base import Record, binary_string


class WebhookEndpoint(Record):
    """Where events are sent, and the secret that they are signed with, encrypted."""

    __tablename__ = "webhook_endpoints"

    url: Mapped[str] = mapped_column(binary_string(2048))
    # Who answers for it: a team, a customer. Not unique.
    owner: Mapped[str] = mapped_column(binary_string(128))
    secret: Mapped[str] = mapped_column(binary_string(512))
    disabled_at: Mapped[datetime | None]

    @property
    def disabled(self) -> bool:
        return self.disabled_at is not None

    @property
    def client_id(self) -> str:
        """What stands as X-Client-Id in the requests that are sent to it."""
        return str(self.id)
