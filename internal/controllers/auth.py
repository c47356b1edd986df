"""Contract §4: `/v1/auth`."""

from fastapi import APIRouter

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AnonymousCaller, PublicRoute, UserCaller
from internal.controllers.limits import AuthLimit
from internal.controllers.replies import errors
from internal.core.envelope import Envelope
from internal.core.errors import DependencyUnavailable, TooManyRequests, Unauthenticated
from internal.schemas.auth import (
    Credentials,
    PasswordChange,
    RefreshRequest,
    Registration,
    TokenPair,
)
from internal.schemas.users import UserView
from internal.services.accounts import (
    RegistrationClosed,
    UsernameTaken,
    WrongCredentials,
    WrongPassword,
)
from internal.services.sessions import RefreshRaced, Tokens

public = APIRouter(
    prefix="/v1/auth", tags=["auth"], route_class=PublicRoute, dependencies=[AuthLimit]
)
router = APIRouter(prefix="/v1/auth", tags=["auth"])


@public.post(
    "/register",
    operation_id="register",
    status_code=201,
    responses=errors(RegistrationClosed, UsernameTaken, TooManyRequests),
)
async def register(
    body: Registration, caller: AnonymousCaller, resources: ResourcesDep
) -> Envelope[UserView]:
    """Makes an account, where registration is open."""
    return Envelope(data=UserView.of(await resources.services.accounts.register(caller, body)))


@public.post(
    "/login",
    operation_id="login",
    responses=errors(WrongCredentials, TooManyRequests, DependencyUnavailable),
)
async def login(
    body: Credentials, caller: AnonymousCaller, resources: ResourcesDep
) -> Envelope[TokenPair]:
    """Starts a session. Five failures within 15 minutes lock the account for the address."""
    return Envelope(data=_pair(await resources.services.accounts.login(caller, body)))


@public.post(
    "/refresh",
    operation_id="refresh",
    responses=errors(Unauthenticated, RefreshRaced, TooManyRequests),
)
async def refresh(
    body: RefreshRequest, caller: AnonymousCaller, resources: ResourcesDep
) -> Envelope[TokenPair]:
    """Spends a refresh token for new tokens. One that was spent before ends its session."""
    tokens = await resources.services.sessions.refresh(body.refresh_token, caller)
    return Envelope(data=_pair(tokens))


@router.post("/logout", operation_id="logout")
async def logout(caller: UserCaller, resources: ResourcesDep) -> Envelope[None]:
    """Ends this session."""
    await resources.services.sessions.end(caller)
    return Envelope(data=None)


@router.post("/logout-everywhere", operation_id="logoutEverywhere")
async def logout_everywhere(caller: UserCaller, resources: ResourcesDep) -> Envelope[None]:
    """Ends every session of this account."""
    await resources.services.accounts.logout_everywhere(caller)
    return Envelope(data=None)


@router.get("/me", operation_id="me")
async def me(caller: UserCaller, resources: ResourcesDep) -> Envelope[UserView]:
    """The account that the token speaks for."""
    return Envelope(data=UserView.of(await resources.services.accounts.me(caller)))


@router.post(
    "/password",
    operation_id="changePassword",
    dependencies=[AuthLimit],
    responses=errors(WrongPassword, TooManyRequests),
)
async def change_password(
    body: PasswordChange, caller: UserCaller, resources: ResourcesDep
) -> Envelope[TokenPair]:
    """Sets a new password, ends every session of this account and starts a new one."""
    return Envelope(data=_pair(await resources.services.accounts.change_password(caller, body)))


def _pair(tokens: Tokens) -> TokenPair:
    return TokenPair(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        refresh_expires_in=tokens.refresh_expires_in,
    )
