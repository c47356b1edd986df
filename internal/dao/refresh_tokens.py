from datetime import datetime
from typing import cast

from sqlalchemy import CursorResult, select, update

from internal.core.clock import utc_now
from internal.core.snowflake import first_id_at
from internal.dao.base import BaseDAO
from internal.models.login_session import LoginSession
from internal.models.refresh_token import RefreshToken


class RefreshTokenDAO(BaseDAO[RefreshToken]):
    model = RefreshToken

    async def by_hash(self, token_hash: str) -> RefreshToken | None:
        token: RefreshToken | None = await self._session.scalar(
            select(RefreshToken).where(RefreshToken.token_hash == token_hash)
        )
        return token

    async def spend(self, token_id: int) -> bool:
        """Marks a token spent; of any number of replicas at once, one gets True."""
        statement = (
            update(RefreshToken)
            .where(RefreshToken.id == token_id, RefreshToken.spent_at.is_(None))
            .values(spent_at=utc_now())
            .execution_options(synchronize_session=False)
        )
        result = await self._session.execute(statement)
        return bool(cast("CursorResult[object]", result).rowcount)

    async def refreshed(self, token: RefreshToken) -> RefreshToken:
        """The token as committed now."""
        await self._session.refresh(token)
        return token

    async def purge(self, expired_before: datetime, limit: int) -> int:
        """Deletes tokens of the oldest sessions that expired before then; returns how many."""
        statement = (
            select(RefreshToken.id)
            .join(LoginSession, LoginSession.id == RefreshToken.session_id)
            .where(
                LoginSession.id < first_id_at(expired_before),
                LoginSession.expires_at < expired_before,
            )
            .order_by(LoginSession.id)
            .limit(limit)
        )
        return await self._purge(statement)
