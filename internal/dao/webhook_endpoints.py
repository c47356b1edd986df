from internal.dao.base import BaseDAO
from internal.models.webhook_endpoint import WebhookEndpoint


class WebhookEndpointDAO(BaseDAO[WebhookEndpoint]):
    model = WebhookEndpoint
    sortable = frozenset({"id", "owner", "created_at", "updated_at"})
    filterable = frozenset({"owner"})
