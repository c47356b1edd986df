"""On whose behalf a request or a command runs."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class CallerKind(StrEnum):
    ANONYMOUS = "anonymous"
    USER = "user"
    CLIENT = "client"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the door has found out. Services decide by it what may be seen and changed.

    Args:
        id: the row of the user or of the API client; None for anonymous callers and operators.
        address: where the call comes from; "" for the command line.
        role: of a user.
        session_id: of a user's login.
        client_id: the public name of an API client.
        scopes: of an API client.
    """

    kind: CallerKind
    id: int | None = None
    address: str = ""
    role: Role | None = None
    session_id: int | None = None
    client_id: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Stands for this caller in counters and unique keys."""
        return f"{self.kind}:{self.id or self.address}"


def anonymous(address: str) -> Caller:
    return Caller(CallerKind.ANONYMOUS, address=address)


OPERATOR = Caller(CallerKind.OPERATOR)
