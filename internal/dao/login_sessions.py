from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select, update

from internal.core.clock import utc_now
from internal.core.snowflake import first_id_at
from internal.dao.base import BaseDAO
from internal.models.login_session import LoginSession
from internal.models.refresh_token import RefreshToken
from internal.models.user import User


class SessionRow(NamedTuple):
    """A login session beside what its user is now."""

    user_id: int
    expires_at: datetime
    ended_at: datetime | None
    token_version: int
    role: str
    disabled_at: datetime | None
    deleted_at: datetime | None


class LoginSessionDAO(BaseDAO[LoginSession]):
    model = LoginSession

    async def with_user(self, session_id: int) -> SessionRow | None:
        statement = (
            select(
                LoginSession.user_id,
                LoginSession.expires_at,
                LoginSession.ended_at,
                User.token_version,
                User.role,
                User.disabled_at,
                User.deleted_at,
            )
            .join(User, User.id == LoginSession.user_id)
            .where(LoginSession.id == session_id)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else SessionRow(*row)

    async def end(self, session_id: int) -> None:
        await self._session.execute(
            update(LoginSession)
            .where(LoginSession.id == session_id, LoginSession.ended_at.is_(None))
            .values(ended_at=utc_now())
        )

    async def end_all(self, user_id: int) -> None:
        await self._session.execute(
            update(LoginSession)
            .where(LoginSession.user_id == user_id, LoginSession.ended_at.is_(None))
            .values(ended_at=utc_now())
        )

    async def purge(self, expired_before: datetime, limit: int) -> int:
        """Deletes the oldest that expired before then and have no token left; returns how many."""
        statement = (
            select(LoginSession.id)
            .where(
                LoginSession.id < first_id_at(expired_before),
                LoginSession.expires_at < expired_before,
                ~exists().where(RefreshToken.session_id == LoginSession.id),
            )
            .order_by(LoginSession.id)
            .limit(limit)
        )
        return await self._purge(statement)
