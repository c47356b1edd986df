"""What a caller may see and change: the one place that decides it."""

from internal.core.caller import Caller, CallerKind, Role
from internal.core.errors import Forbidden, NotFound, Text


class NotYourself(Forbidden):
    message = Text("you cannot do this to your own account", "不能对自己的账号执行此操作")


def is_admin(caller: Caller) -> bool:
    return caller.kind is CallerKind.OPERATOR or caller.role is Role.ADMIN


def require_admin(caller: Caller) -> None:
    """Raises Forbidden for everybody but admins and operators."""
    if not is_admin(caller):
        raise Forbidden


def require_scope(caller: Caller, scope: str) -> None:
    """Raises Forbidden for everybody but API clients with the scope."""
    if caller.kind is not CallerKind.CLIENT or scope not in caller.scopes:
        raise Forbidden


def require_owner(caller: Caller, user_id: int) -> None:
    """Raises NotFound where it is another user's: whether it exists is not theirs to know."""
    is_own = caller.kind is CallerKind.USER and caller.id == user_id
    if not is_own and not is_admin(caller):
        raise NotFound


def refuse_own(caller: Caller, user_id: int) -> None:
    """Raises NotYourself: an admin who locks themselves out has nobody to ask."""
    if caller.kind is CallerKind.USER and caller.id == user_id:
        raise NotYourself
