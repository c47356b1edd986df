import os

import bcrypt
from anyio import CapacityLimiter, to_thread

from internal.core.errors import DependencyUnavailable
from internal.core.password import bcrypt_input

COST = 12
WAITING_PER_THREAD = 32  # at a quarter of a second each: some eight seconds


class PasswordHasher:
    """bcrypt in a few threads, so that nothing blocks the loop and nobody can fill the machine.

    Raises (both methods):
        DependencyUnavailable: more are waiting already than could be served in time.
    """

    def __init__(self, cost: int = COST, threads: int | None = None) -> None:
        threads = threads or os.cpu_count() or 1
        self._cost = cost
        self._limiter = CapacityLimiter(threads)
        self._most_waiting = threads * WAITING_PER_THREAD
        # No password has this hash; comparing with it costs what comparing with a real one does.
        self._nobodys = f"$2b${cost:02}${'.' * 53}".encode()

    async def hash(self, password: str) -> str:
        self._refuse_crowd()
        salt = bcrypt.gensalt(self._cost)
        hashed = await to_thread.run_sync(
            bcrypt.hashpw, bcrypt_input(password), salt, limiter=self._limiter
        )
        return hashed.decode()

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is right; the same work where there is no hash to compare with."""
        self._refuse_crowd()
        expected = password_hash.encode() if password_hash else self._nobodys
        matches = await to_thread.run_sync(
            bcrypt.checkpw, bcrypt_input(password), expected, limiter=self._limiter
        )
        return matches and password_hash is not None

    def _refuse_crowd(self) -> None:
        if self._limiter.statistics().tasks_waiting >= self._most_waiting:
            raise DependencyUnavailable(headers={"Retry-After": "1"})
