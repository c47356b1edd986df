from sqlalchemy import select

from internal.dao.base import BaseDAO
from internal.models.api_client import ApiClient


class ApiClientDAO(BaseDAO[ApiClient]):
    model = ApiClient
    sortable = frozenset({"id", "name", "created_at", "updated_at"})
    filterable = frozenset({"name"})

    async def by_client_id(self, client_id: str) -> ApiClient | None:
        client: ApiClient | None = await self._session.scalar(
            select(ApiClient).where(
                ApiClient.client_id == client_id, ApiClient.deleted_at.is_(None)
            )
        )
        return client

    async def lock_by_client_id(self, client_id: str) -> ApiClient | None:
        """The client, locked until the transaction ends."""
        client: ApiClient | None = await self._session.scalar(
            select(ApiClient)
            .where(ApiClient.client_id == client_id, ApiClient.deleted_at.is_(None))
            .with_for_update()
        )
        return client
