from collections.abc import Collection

from sqlalchemy import select

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

    async def lock_all(self, user_ids: Collection[int]) -> dict[int, User]:
        """The users by id, locked in one order, so that two who lock the same never deadlock."""
        statement = (
            select(User)
            .where(User.id.in_(user_ids), User.deleted_at.is_(None))
            .order_by(User.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return {user.id: user for user in await self._session.scalars(statement)}
