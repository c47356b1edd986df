"""Login sessions: from a login to its end, the tokens in between, and who a token speaks for."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import Caller, CallerKind, Role
from internal.core.clock import utc_now
from internal.core.errors import Conflict, Text, Unauthenticated
from internal.core.tokens import AccessClaims, InvalidToken, TokenSigner
from internal.dao.login_sessions import LoginSessionDAO, SessionRow
from internal.dao.refresh_tokens import RefreshTokenDAO
from internal.models.login_session import LoginSession
from internal.models.refresh_token import RefreshToken
from internal.models.user import User
from internal.services import audit
from internal.services.recent import Recent
from internal.services.unit_of_work import UnitOfWork

REFRESH_BYTES = 32
OPERATOR_HOURS = 8  # a login at the operations page
RACE_SECONDS = 10


class RefreshRaced(Conflict):
    """Two tabs of one browser, most likely: the other one has the new tokens."""

    message = Text("this refresh token has just been used", "该刷新令牌刚刚被使用过")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gives. Times are in seconds."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


class Sessions:
    """Starts, refreshes, checks and ends login sessions.

    Args:
        operator_signer: of the operations page's cookies; neither believes the other's tokens.
        lifetime: of a session, from its login.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        signer: TokenSigner,
        operator_signer: TokenSigner,
        lifetime: timedelta,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._signer = signer
        self._operator_signer = operator_signer
        self._lifetime = lifetime
        self._recent: Recent[int, SessionRow | None] = Recent(self._read)

    async def authenticate(self, token: str, address: str) -> Caller:
        """Who an access token speaks for.

        Raises:
            Unauthenticated: nobody, or not any more.
        """
        return await self._authenticate(self._signer, token, address)

    async def authenticate_operator(self, cookie: str, address: str) -> Caller:
        """Who a cookie of the operations page speaks for. Raises Unauthenticated."""
        return await self._authenticate(self._operator_signer, cookie, address)

    async def _authenticate(self, signer: TokenSigner, token: str, address: str) -> Caller:
        try:
            claims = signer.verify(token)
        except InvalidToken:
            raise Unauthenticated from None
        row = await self._recent.get(claims.session_id)
        if row is None or not _speaks_for(row, claims):
            raise Unauthenticated
        return Caller(
            CallerKind.USER,
            id=claims.user_id,
            address=address,
            role=claims.role,
            session_id=claims.session_id,
        )

    async def start(self, session: AsyncSession, user: User) -> Tokens:
        """Starts a session of a user in the transaction at hand."""
        now = utc_now()
        login = await LoginSessionDAO(session).create(
            LoginSession(user_id=user.id, expires_at=now + self._lifetime)
        )
        claims = AccessClaims(user.id, login.id, user.token_version, Role(user.role))
        return await self._issue(session, claims, login.expires_at, now)

    async def start_operator(self, session: AsyncSession, user: User) -> str:
        """The same for the operations page: a cookie's value, and nothing to refresh it with."""
        now = utc_now()
        login = await LoginSessionDAO(session).create(
            LoginSession(user_id=user.id, expires_at=now + self._operator_signer.lifetime)
        )
        claims = AccessClaims(user.id, login.id, user.token_version, Role(user.role))
        return self._operator_signer.issue(claims, now)

    async def refresh(self, refresh_token: str, caller: Caller) -> Tokens:
        """Spends a refresh token for new ones.

        Raises:
            RefreshRaced: it was spent less than `RACE_SECONDS` ago.
            Unauthenticated: it is not valid; if it was spent longer ago, its session has ended now.
        """
        async with self._unit_of_work.begin() as session:
            outcome = await self._spend(session, refresh_token, caller)
        # The verdict on a token used twice is committed before the reply says 401.
        if isinstance(outcome, Tokens):
            return outcome
        if outcome is not None:
            self._recent.forget(outcome)
        raise Unauthenticated

    async def end(self, caller: Caller) -> None:
        """Logs the caller out: no token of this session is believed any more."""
        assert caller.session_id is not None  # noqa: S101 - the door admits users alone
        async with self._unit_of_work.begin(caller.id) as session:
            await LoginSessionDAO(session).end(caller.session_id)
            await audit.record(session, caller, "session.end", ("session", caller.session_id))
        self._recent.forget(caller.session_id)

    def forget_all(self) -> None:
        """To be called when a commit has changed what tokens of some user may do."""
        self._recent.forget_all()

    async def _spend(
        self, session: AsyncSession, refresh_token: str, caller: Caller
    ) -> Tokens | int | None:
        """New tokens, or the id of the session that ends by it, or None: it is no token."""
        tokens = RefreshTokenDAO(session)
        token = await tokens.by_hash(_digest(refresh_token))
        if token is None:
            return None
        row = await LoginSessionDAO(session).with_user(token.session_id)
        if row is None or not _is_open(row):
            return None
        if not await tokens.spend(token.id):
            return await self._judge_reuse(session, token, caller)
        claims = AccessClaims(row.user_id, token.session_id, row.token_version, Role(row.role))
        return await self._issue(session, claims, row.expires_at, utc_now())

    async def _judge_reuse(self, session: AsyncSession, token: RefreshToken, caller: Caller) -> int:
        """Ends the session, and returns its id."""
        token = await RefreshTokenDAO(session).refreshed(token)
        if token.spent_at and utc_now() - token.spent_at < timedelta(seconds=RACE_SECONDS):
            raise RefreshRaced
        await LoginSessionDAO(session).end(token.session_id)
        await audit.record(session, caller, "session.reuse", ("session", token.session_id))
        return token.session_id

    async def _issue(
        self, session: AsyncSession, claims: AccessClaims, expires_at: datetime, now: datetime
    ) -> Tokens:
        refresh_token = secrets.token_urlsafe(REFRESH_BYTES)
        await RefreshTokenDAO(session).create(
            RefreshToken(token_hash=_digest(refresh_token), session_id=claims.session_id)
        )
        return Tokens(
            self._signer.issue(claims, now),
            int(self._signer.lifetime.total_seconds()),
            refresh_token,
            int((expires_at - now).total_seconds()),
        )

    async def _read(self, session_id: int) -> SessionRow | None:
        async with self._unit_of_work.read() as session:
            return await LoginSessionDAO(session).with_user(session_id)


def _is_open(row: SessionRow) -> bool:
    return (
        row.ended_at is None
        and row.disabled_at is None
        and row.deleted_at is None
        and row.expires_at > utc_now()
    )


def _speaks_for(row: SessionRow, claims: AccessClaims) -> bool:
    return (
        _is_open(row)
        and row.user_id == claims.user_id
        and row.token_version == claims.version
        and row.role == claims.role
    )


def _digest(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).hexdigest()
