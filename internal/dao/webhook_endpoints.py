from collections.abc import Sequence

from sqlalchemy import select

from internal.dao.base import BaseDAO
from internal.models.webhook_endpoint import WebhookEndpoint


class WebhookEndpointDAO(BaseDAO[WebhookEndpoint]):
    model = WebhookEndpoint
    sortable = frozenset({"id", "owner", "created_at", "updated_at"})
    filterable = frozenset({"owner"})

    async def lock(self, endpoint_id: int) -> WebhookEndpoint | None:
        """The endpoint as committed now, locked until the transaction ends."""
        statement = (
            select(WebhookEndpoint)
            .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.deleted_at.is_(None))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        endpoint: WebhookEndpoint | None = await self._session.scalar(statement)
        return endpoint

    async def lock_after(self, record_id: int, limit: int) -> Sequence[WebhookEndpoint]:
        """The next endpoints by id, deleted ones too, locked until the transaction ends."""
        statement = (
            select(WebhookEndpoint)
            .where(WebhookEndpoint.id > record_id)
            .order_by(WebhookEndpoint.id)
            .limit(limit)
            .with_for_update()
        )
        return (await self._session.scalars(statement)).all()
