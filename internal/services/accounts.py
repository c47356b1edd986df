"""What people do with their own account."""

from collections.abc import Awaitable, Callable, Collection

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import Caller, CallerKind, Role
from internal.core.errors import Conflict, Forbidden, NotFound, Text, Unauthenticated
from internal.dao.login_sessions import LoginSessionDAO
from internal.dao.users import UserDAO
from internal.models.user import User
from internal.schemas.auth import Credentials, PasswordChange, Registration
from internal.services import audit
from internal.services.login_lock import LoginLock
from internal.services.passwords import PasswordHasher
from internal.services.sessions import Sessions, Tokens
from internal.services.unit_of_work import UnitOfWork

# What begins for a user who has proved their password.
type Start[T] = Callable[[AsyncSession, User], Awaitable[T]]


class RegistrationClosed(Forbidden):
    message = Text("registration is closed", "注册未开放")


class UsernameTaken(Conflict):
    message = Text("this username is taken", "该用户名已被占用")


class WrongCredentials(Unauthenticated):
    message = Text("wrong username or password", "用户名或密码错误")


class WrongPassword(Forbidden):
    """No 401: the token is good, and a client that took a new one would try for ever."""

    message = Text("wrong password", "密码错误")


class Accounts:
    """Register, log in, change the password."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        hasher: PasswordHasher,
        lock: LoginLock,
        sessions: Sessions,
        *,
        registration_enabled: bool,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._hasher = hasher
        self._lock = lock
        self._sessions = sessions
        self._registration_enabled = registration_enabled

    async def register(self, caller: Caller, registration: Registration) -> User:
        """Makes an account with the role `user`.

        Raises:
            RegistrationClosed, UsernameTaken
        """
        if not self._registration_enabled:
            raise RegistrationClosed
        password_hash = await self._hasher.hash(registration.password.get_secret_value())
        async with self._unit_of_work.begin() as session:
            user = new_user(registration.username, registration.display_name, password_hash)
            await add_user(session, user)
            caller = Caller(CallerKind.USER, user.id, caller.address)
            await audit.record(session, caller, "user.register", ("user", user.id))
        return user

    async def login(self, caller: Caller, credentials: Credentials) -> Tokens:
        """Starts a session. Unknown, disabled and wrong cost the same and say the same.

        Raises:
            WrongCredentials, TooManyRequests
        """
        return await self._login(caller, credentials, self._sessions.start, frozenset(Role))

    async def login_operator(self, caller: Caller, credentials: Credentials) -> str:
        """Starts a session of the operations page: its cookie. Who is no admin is told no more.

        Raises:
            WrongCredentials, TooManyRequests
        """
        start = self._sessions.start_operator
        return await self._login(caller, credentials, start, frozenset({Role.ADMIN}))

    async def _login[T](
        self, caller: Caller, credentials: Credentials, start: Start[T], roles: Collection[Role]
    ) -> T:
        username, password = credentials.username, credentials.password.get_secret_value()
        async with self._lock.attempt(username, caller.address):
            user = await self._verified(username, password)
            async with self._unit_of_work.begin(user.id if user else None) as session:
                user = await _unchanged(session, user)
                if user is None or user.role not in roles:
                    target = ("username", username[:64])
                    await audit.record(session, caller, "login.failure", target)
                    started = None
                else:
                    known = Caller(CallerKind.USER, user.id, caller.address)
                    await audit.record(session, known, "login.success", ("user", user.id))
                    started = await start(session, user)
        if started is None:
            raise WrongCredentials
        await self._lock.succeeded(username, caller.address)
        return started

    async def change_password(self, caller: Caller, change: PasswordChange) -> Tokens:
        """Sets a new password, ends every session, and starts a new one for the caller.

        Raises:
            WrongPassword: the current password is wrong.
            TooManyRequests: it was guessed too often.
        """
        known = await self.me(caller)
        current, new = change.current_password, change.new_password
        async with self._lock.attempt(known.username, caller.address):
            verified = await self._verified(known.username, current.get_secret_value())
            # Also where it is wrong: how long it takes is no verdict that nobody counts.
            password_hash = await self._hasher.hash(new.get_secret_value())
            async with self._unit_of_work.begin(caller.id) as session:
                tokens = await self._replace_password(session, caller, verified, password_hash)
        if tokens is None:
            raise WrongPassword
        self._sessions.forget_all()
        await self._lock.succeeded(known.username, caller.address)
        return tokens

    async def logout_everywhere(self, caller: Caller) -> None:
        """Ends every session of the caller."""
        async with self._unit_of_work.begin(caller.id) as session:
            user = await UserDAO(session).lock(_own_id(caller))
            if user is None:
                raise Unauthenticated
            await end_all_sessions(session, user)
            await audit.record(session, caller, "user.logout_everywhere", ("user", user.id))
        self._sessions.forget_all()

    async def me(self, caller: Caller) -> User:
        async with self._unit_of_work.read() as session:
            user = await UserDAO(session).get(_own_id(caller))
        if user is None:
            raise NotFound
        return user

    async def _verified(self, username: str, password: str) -> User | None:
        """The user, if the password is theirs; None with the same work if not."""
        async with self._unit_of_work.read() as session:
            user = await UserDAO(session).by_username(username)
        matches = await self._hasher.verify(password, user.password_hash if user else None)
        return user if matches else None

    async def _replace_password(
        self, session: AsyncSession, caller: Caller, verified: User | None, password_hash: str
    ) -> Tokens | None:
        """The tokens of a new session, or None: then the failure is in the audit log."""
        user = await _unchanged(session, verified)
        if user is None:
            target = ("user", _own_id(caller))
            await audit.record(session, caller, "user.change_password_failure", target)
            return None
        user.password_hash = password_hash
        await end_all_sessions(session, user)
        await audit.record(session, caller, "user.change_password", ("user", user.id))
        return await self._sessions.start(session, user)


async def add_user(session: AsyncSession, user: User) -> None:
    """Inserts a user. Raises UsernameTaken."""
    try:
        await UserDAO(session).create(user)
    except IntegrityError:
        raise UsernameTaken from None


def new_user(username: str, display_name: str, password_hash: str, role: Role = Role.USER) -> User:
    return User(
        username=username,
        display_name=display_name or username,
        password_hash=password_hash,
        role=role,
        token_version=1,
    )


async def end_all_sessions(session: AsyncSession, user: User) -> None:
    """No token of this user, access or refresh, is believed any more."""
    user.token_version += 1
    await LoginSessionDAO(session).end_all(user.id)


async def _unchanged(session: AsyncSession, verified: User | None) -> User | None:
    """The user, locked; None if disabled, or if the password has changed since it was verified."""
    user = await UserDAO(session).lock(verified.id if verified else 0)
    if user is None or verified is None or user.disabled:
        return None
    return user if user.password_hash == verified.password_hash else None


def _own_id(caller: Caller) -> int:
    assert caller.id is not None  # noqa: S101 - the door admits users alone
    return caller.id
