"""Mixed requests at 70 % of the highest rate: `python -m tests.benchmarks.soak [SECONDS]`.

Neither memory nor open files may grow, which connections to the database and to Redis are, too.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from internal.core.caller import Role
from tests.benchmarks.load import Outcome, send_at_rate
from tests.benchmarks.memory import mixed
from tests.benchmarks.people import seed
from tests.benchmarks.processes import (
    migrate,
    open_files,
    production,
    python,
    resident_mib,
    running,
)
from tests.servers import HOST, MariaDB, Redis, free_port

SECONDS = 300
SHARE = 0.7
FLAT_OUT_SECONDS = 10
FLAT_OUT_PER_SECOND = 3_000  # more than are answered


class Held(NamedTuple):
    """What a process holds: MiB, and how many files."""

    memory: float
    files: int


def held_by(pid: int) -> Held:
    return Held(resident_mib(pid), open_files(pid))


async def highest_rate(port: int, requests: Sequence[bytes]) -> float:
    """Requests a second, of more than are answered."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    sent = await send_at_rate(HOST, port, requests, FLAT_OUT_PER_SECOND, FLAT_OUT_SECONDS)
    return sent.statuses.total() / (loop.time() - started)


def failures(sent: Outcome) -> int:
    return sum(count for status, count in sent.statuses.items() if status >= 500)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name, MariaDB() as database, Redis() as redis:
        port = free_port()
        env = production(Path(name), port, database, redis)
        migrate(env)
        username = seed(env, 1, Role.ADMIN).usernames[0]
        command = python("-m", "tests.benchmarks.service")
        with running(command, env, port, "/readyz") as (process, _):
            requests = mixed(port, username)
            rate = SHARE * asyncio.run(highest_rate(port, requests))
            before = held_by(process.pid)
            sent = asyncio.run(send_at_rate(HOST, port, requests, rate, seconds))
            after = held_by(process.pid)
    print(f"{sent.statuses.total()} requests in {seconds:.0f} s, {rate:.0f} a second")
    print(f"replies: {dict(sorted(sent.statuses.items()))}; 5xx: {failures(sent)}")
    print(f"memory: {before.memory:.1f} MiB before, {after.memory:.1f} after")
    print(f"open files: {before.files} before, {after.files} after")


if __name__ == "__main__":
    main()
