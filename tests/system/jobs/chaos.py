"""Jobs while everything dies: `python -m tests.system.jobs.chaos 10000 50 [rabbitmq]`.

Every two seconds one of API, worker, scheduler, broker and database is killed (SIGKILL) and started
again. Every job that was accepted must succeed, and its effect must have happened once.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pymysql

from tests.servers import MariaDB, Server
from tests.system.jobs.cluster import Cluster, Process
from tests.system.jobs.rabbitmq import RabbitMQ

KILL_EVERY_SECONDS = 2.0
DOWN_SECONDS = 0.5
SUBMITTERS = 8
PARTS = ("api", "worker", "scheduler", "broker", "database")


@dataclass
class Outcome:
    """What came of a run."""

    seconds: float
    kills: Counter[str] = field(default_factory=Counter)
    accepted: set[int] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    effects: int = 0
    distinct_effects: int = 0

    @property
    def is_right(self) -> bool:
        n = len(self.accepted)
        return self.statuses == {"succeeded": n} and self.effects == self.distinct_effects == n

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {part}" for part, count in sorted(self.kills.items()))
        return (
            f"{len(self.accepted)} accepted, {dict(self.statuses)}, {self.effects} effects, "
            f"{self.distinct_effects} distinct, {sum(self.kills.values())} kills ({kills}), "
            f"{self.seconds:.0f} s"
        )


class Chaos:
    def __init__(self, cluster: Cluster, jobs: int, kills: int, seconds: float) -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._kills = kills
        self._deadline = time.monotonic() + seconds
        self._numbers = iter(range(jobs))
        self._outcome = Outcome(0)
        self._token = ""
        self._victims_left: list[str] = []

    async def run(self) -> Outcome:
        """Submits and kills at the same time, then waits until every job has ended.

        Raises:
            TimeoutError: some have not within the time given.
        """
        started = time.monotonic()
        await self._log_in()
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._left):
            async with httpx.AsyncClient(timeout=10) as http, asyncio.TaskGroup() as group:
                for _ in range(SUBMITTERS):
                    group.create_task(self._submit(http))
                group.create_task(self._kill())
            while not await self._is_done():
                await asyncio.sleep(0.5)
        self._outcome.seconds = time.monotonic() - started
        ((self._outcome.effects, self._outcome.distinct_effects),) = self._cluster.rows(
            "SELECT COUNT(*), COUNT(DISTINCT job_id) FROM effects"
        )
        return self._outcome

    @property
    def _left(self) -> float:
        return self._deadline - time.monotonic()

    async def _log_in(self) -> None:
        while not self._token:
            try:
                self._token = await asyncio.to_thread(
                    self._cluster.token, self._cluster.base_urls[0]
                )
            except httpx.HTTPError:
                if self._left < 0:
                    raise
                await asyncio.sleep(0.5)

    async def _submit(self, http: httpx.AsyncClient) -> None:
        for number in self._numbers:
            self._outcome.accepted.add(await self._submit_until_accepted(http, number))

    async def _submit_until_accepted(self, http: httpx.AsyncClient, number: int) -> int:
        """Again and again under one key, so that what was accepted unheard is not doubled."""
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"job-{number}"}
        body = {"kind": "test.effect", "payload": {"number": number}}
        while True:
            url = f"{random.choice(self._cluster.base_urls)}/v1/jobs"
            try:
                reply = await http.post(url, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if reply.status_code == httpx.codes.ACCEPTED:
                return int(reply.json()["data"]["id"])
            if reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR and reply.status_code not in (
                httpx.codes.CONFLICT,
                httpx.codes.TOO_MANY_REQUESTS,
            ):
                raise AssertionError(f"{reply.status_code}: {reply.text}")
            await asyncio.sleep(0.2)

    async def _kill(self) -> None:
        for _ in range(self._kills):
            await asyncio.sleep(KILL_EVERY_SECONDS - DOWN_SECONDS)
            part, kill, start = self._victim()
            self._outcome.kills[part] += 1
            kill()
            await asyncio.sleep(DOWN_SECONDS)
            await asyncio.to_thread(start)

    def _victim(self) -> tuple[str, Callable[[], None], Callable[[], None]]:
        cluster = self._cluster
        if not self._victims_left:  # each part in its turn, in an order that nobody knows
            self._victims_left = random.sample(PARTS, len(PARTS))
        part = self._victims_left.pop()
        victims: dict[str, Process | Server] = {
            "api": random.choice(cluster.apis),
            "worker": random.choice(cluster.workers),
            "scheduler": cluster.scheduler,
            "broker": cluster.broker,
            "database": cluster.database,
        }
        return part, victims[part].kill, victims[part].start

    async def _is_done(self) -> bool:
        try:
            rows = await asyncio.to_thread(
                self._cluster.rows,
                "SELECT status, COUNT(*) FROM jobs WHERE kind = 'test.effect' GROUP BY status",
            )
        except pymysql.MySQLError:
            return False
        self._outcome.statuses = Counter(dict(rows))
        return not {"queued", "running"} & self._outcome.statuses.keys()


def run(folder: Path, jobs: int, kills: int, seconds: float, broker: str = "redis") -> Outcome:
    """Starts an installation, torments it, and tells what came of it."""
    with ExitStack() as stack:
        database = stack.enter_context(MariaDB())
        rabbit = stack.enter_context(RabbitMQ()) if broker == "rabbitmq" else None
        cluster = Cluster(folder, database, (rabbit, rabbit.url) if rabbit else None)
        stack.enter_context(cluster)
        return asyncio.run(Chaos(cluster, jobs, kills, seconds).run())


def main() -> None:
    jobs, kills = int(sys.argv[1]), int(sys.argv[2])
    broker = sys.argv[3] if len(sys.argv) > 3 else "redis"
    folder = Path(tempfile.mkdtemp(prefix="groundwork-chaos-"))
    print(f"logs are in {folder}")
    outcome = run(folder, jobs, kills, 300 + jobs / 5, broker)
    print(outcome)
    sys.exit(not outcome.is_right)


if __name__ == "__main__":
    main()
