from sqlalchemy import select, update

from internal.core.clock import utc_now
from internal.dao.base import BaseDAO
from internal.models.user import User


class UserDAO(BaseDAO[User]):
    model = User
    sortable = frozenset({"id", "username", "created_at", "updated_at"})
    filterable = frozenset({"username", "role"})

    async def by_username(self, username: str) -> User | None:
        statement = select(User).where(User.username == username, User.deleted_at.is_(None))
        user: User | None = await self._session.scalar(statement)
        return user

    async def lock(self, user_id: int) -> User | None:
        """The user as committed now, locked until the transaction ends."""
        statement = (
            select(User)
            .where(User.id == user_id, User.deleted_at.is_(None))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        user: User | None = await self._session.scalar(statement)
        return user

    async def raise_token_version(self, user_id: int) -> None:
        """No token that was issued before is believed any more."""
        statement = (
            update(User)
            .where(User.id == user_id)
            .values(token_version=User.token_version + 1, updated_at=utc_now())
            .execution_options(synchronize_session="fetch")
        )
        await self._session.execute(statement)
