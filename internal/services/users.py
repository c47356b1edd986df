"""What admins, and operators at the command line, do with accounts."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import Caller, CallerKind, Role
from internal.core.clock import utc_now
from internal.core.errors import Forbidden, NotFound
from internal.dao.base import Listing, ListQuery
from internal.dao.users import UserDAO
from internal.models.user import User
from internal.schemas.users import NewUser, UserChange
from internal.services import audit
from internal.services.accounts import add_user, end_all_sessions, new_user
from internal.services.authorization import refuse_own, require_admin, require_owner
from internal.services.passwords import PasswordHasher
from internal.services.sessions import Sessions
from internal.services.unit_of_work import UnitOfWork


class Users:
    def __init__(
        self, unit_of_work: UnitOfWork, hasher: PasswordHasher, sessions: Sessions
    ) -> None:
        self._unit_of_work = unit_of_work
        self._hasher = hasher
        self._sessions = sessions

    async def list(self, caller: Caller, query: ListQuery) -> Listing[User]:
        """One page. Raises Forbidden for everybody but admins."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return await UserDAO(session).list(query)

    async def get(self, caller: Caller, user_id: int) -> User:
        """A user's own account, or any for an admin. Raises NotFound."""
        require_owner(caller, user_id)
        async with self._unit_of_work.read() as session:
            return _found(await UserDAO(session).get(user_id))

    async def by_username(self, caller: Caller, username: str) -> User:
        """Raises NotFound."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return _found(await UserDAO(session).by_username(username))

    async def password_hash(self, caller: Caller, new: NewUser) -> str:
        """To be had before the transaction: it takes a quarter of a second."""
        require_admin(caller)
        return await self._hasher.hash(new.password.get_secret_value())

    async def create(
        self, session: AsyncSession, caller: Caller, new: NewUser, password_hash: str
    ) -> User:
        """Makes an account of any role, in the transaction at hand. Raises UsernameTaken."""
        require_admin(caller)
        await _lock_beside_admin(session, caller)
        user = new_user(new.username, new.display_name, password_hash, new.role)
        await add_user(session, user)
        details = {"username": user.username, "role": user.role}
        await audit.record(session, caller, "user.create", ("user", user.id), details)
        return user

    async def update(self, caller: Caller, user_id: int, change: UserChange) -> User:
        """Changes what `change` names. A role or a disabled account holds at once.

        Raises:
            NotFound, Forbidden
            NotYourself: an admin may not demote or disable themselves.
        """
        require_owner(caller, user_id)
        values = change.model_dump(exclude_unset=True)
        touches_rights = bool(values.keys() - {"display_name"})
        if touches_rights:
            require_admin(caller)
            refuse_own(caller, user_id)
        async with self._unit_of_work.begin(caller.id) as session:
            if touches_rights:
                user = _found((await _lock_beside_admin(session, caller, user_id)).get(user_id))
            else:
                user = _found(await UserDAO(session).lock(user_id))
            await self._apply(session, user, values)
            await audit.record(session, caller, "user.update", ("user", user.id), values)
        if touches_rights:  # a new name may be had 600 times a minute
            self._sessions.forget_all()
        return user

    async def reset_password(self, caller: Caller, username: str, password: str) -> User:
        """Sets a user's password and ends every session of theirs. Raises NotFound."""
        require_admin(caller)
        password_hash = await self._hasher.hash(password)
        known = await self.by_username(caller, username)
        async with self._unit_of_work.begin(caller.id) as session:
            user = _found(await UserDAO(session).lock(known.id))
            user.password_hash = password_hash
            await end_all_sessions(session, user)
            await audit.record(session, caller, "user.reset_password", ("user", user.id))
        self._sessions.forget_all()
        return user

    async def _apply(self, session: AsyncSession, user: User, values: Mapping[str, object]) -> None:
        if "display_name" in values:
            user.display_name = str(values["display_name"])
        if "role" in values and values["role"] != user.role:
            user.role = Role(str(values["role"]))
            user.token_version += 1
        if values.get("disabled") is True and user.disabled_at is None:
            user.disabled_at = utc_now()
            await end_all_sessions(session, user)
        elif values.get("disabled") is False:
            user.disabled_at = None


async def _lock_beside_admin(
    session: AsyncSession, caller: Caller, *user_ids: int
) -> dict[int, User]:
    """The users, locked together with the admin who is about to give or take rights.

    The door has asked some time ago: of two admins who demote each other at once, one stays.

    Raises:
        Forbidden: the caller is no admin any more.
    """
    own = {caller.id} if caller.kind is CallerKind.USER and caller.id is not None else set()
    users = await UserDAO(session).lock_all({*user_ids, *own})
    for admin_id in own:
        admin = users.get(admin_id)
        if admin is None or admin.disabled or admin.role != Role.ADMIN:
            raise Forbidden
    return users


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound
    return user
