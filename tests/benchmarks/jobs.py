"""What jobs cost: accepting them, handing them over, and executing them beside bare Celery."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pymysql

from internal.config.load_config import load_config
from internal.core.caller import Role
from internal.core.clock import utc_now
from internal.core.snowflake import Snowflake
from internal.infra.database import open_database
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.unit_of_work import UnitOfWork
from tests.benchmarks.jobs_bare import TASK, create_bare
from tests.benchmarks.people import PASSWORD, SEED_NODE, seed
from tests.benchmarks.processes import CLIENT_CORE, SERVER_CORE, production, python, running
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import ROUNDS, Target, requests_per_second
from tests.servers import HOST, MariaDB, Redis, free_port

JOBS = 2_000
LAG_PER_SECOND = 200
LAG_SECONDS = 10
BODY = '{"kind":"bench.row","payload":{}}'
# One for each process of the worker, who shares them with the database and Redis.
BOTH_CORES = ("taskset", "-c", f"{SERVER_CORE},{CLIENT_CORE}")
PROGRAM = ("-m", "tests.benchmarks.jobs_program")


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    port = free_port()
    env = production(folder, port, database, redis, LOG_LEVEL="WARNING")
    del env["PORT"]
    migrate = [sys.executable, *PROGRAM, "migrate"]
    subprocess.run(migrate, env=env, check=True, capture_output=True)
    bench = Bench(env, database)
    bench.sql("CREATE TABLE IF NOT EXISTS effects (job_id BIGINT NOT NULL PRIMARY KEY)")
    username = seed(env, 1, Role.ADMIN).usernames[0]
    serve = python(*PROGRAM, "serve", "--port", str(port), "--host", HOST)
    with running(serve, env, port, "/readyz"):
        base = f"http://{HOST}:{port}"
        login = {"username": username, "password": PASSWORD}
        token = httpx.post(f"{base}/v1/auth/login", json=login).json()["data"]["access_token"]
        bench.forget()  # those of other measurements
        lag = asyncio.run(bench.lag(base, token))
        accepted = requests_per_second(
            Target(
                f"{base}/v1/jobs",
                "headers.lua",
                {"WRK_AUTHORIZATION": f"Bearer {token}", "WRK_BODY": BODY},
            )
        )
        ours, bare = bench.throughput()
    return [
        Row("jobs accepted and handed over", f"{accepted:.0f} jobs/s"),
        Row(
            f"from the commit to the broker at {LAG_PER_SECOND} jobs/s",
            f"p99 {lag[98]:.0f} ms, median {lag[49]:.0f}",
            goal="p99 under 1000 ms",
        ),
        Row(
            "jobs executed, one worker of two processes",
            f"{ours:.0f} jobs/s",
            f"bare Celery with the same row updates: {bare:.0f}",
            "at least 0.7",
            ours / bare,
        ),
    ]


class Bench:
    def __init__(self, env: Mapping[str, str], database: MariaDB) -> None:
        self._env = dict(env)
        self._database = database

    def sql(self, statement: str) -> Sequence[tuple[Any, ...]]:
        database = self._database
        connection = pymysql.connect(
            host=HOST,
            port=database.port,
            user=database.username,
            password=database.password.encode().decode("latin-1"),
            database=database.database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return rows

    async def lag(self, base: str, token: str) -> list[float]:
        """Percentiles of the milliseconds from a job's creation to the broker; nobody works."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
            started = time.perf_counter()
            sent: set[asyncio.Task[httpx.Response]] = set()
            for number in range(LAG_PER_SECOND * LAG_SECONDS):
                await asyncio.sleep(max(0, started + number / LAG_PER_SECOND - time.perf_counter()))
                sent.add(asyncio.create_task(http.post("/v1/jobs", content=BODY)))
            for reply in await asyncio.gather(*sent):
                reply.raise_for_status()
        self._wait("SELECT COUNT(*) FROM jobs WHERE dispatched_at IS NULL", lambda left: left == 0)
        lags = self.sql(
            "SELECT TIMESTAMPDIFF(MICROSECOND, created_at, dispatched_at) / 1000 FROM jobs"
        )
        self.forget()
        return statistics.quantiles([float(lag) for (lag,) in lags], n=100)

    def throughput(self) -> tuple[float, float]:
        """Jobs per second of our worker and of the bare one: medians of rounds in turns."""
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(ROUNDS):
            self.forget()
            with self._worker(*PROGRAM, "worker", "--concurrency", "2"):
                asyncio.run(self._enqueue(with_outbox=True))
                ours.append(self._executed_per_second())
            self.forget()
            with self._worker("-m", "tests.benchmarks.jobs_bare"):
                job_ids = asyncio.run(self._enqueue(with_outbox=False))
                with create_bare(load_config(self._env).settings) as app:
                    for job_id in job_ids:
                        app.send_task(TASK, (job_id,))
                bare.append(self._executed_per_second())
        return statistics.median(ours), statistics.median(bare)

    @contextmanager
    def _worker(self, *arguments: str) -> Generator[None]:
        command = [*BOTH_CORES, sys.executable, *arguments]
        process = subprocess.Popen(command, env=self._env, stdout=subprocess.DEVNULL)
        try:
            time.sleep(4)  # until its children are there: what is measured starts with the jobs
            yield
        finally:
            process.terminate()
            process.wait(60)

    async def _enqueue(self, *, with_outbox: bool) -> list[int]:
        settings = load_config(self._env).settings
        async with open_database(settings) as engine:
            unit_of_work = UnitOfWork(engine, Snowflake(SEED_NODE))
            async with unit_of_work.begin() as session:
                jobs = [await states.enqueue(session, _job()) for _ in range(JOBS)]
                if not with_outbox:
                    connection = await session.connection()
                    await connection.exec_driver_sql("DELETE FROM outbox_entries WHERE job_id > 0")
        return [job.id for job in jobs]

    def _executed_per_second(self) -> float:
        finished = "SELECT COUNT(*) FROM jobs WHERE status = 'succeeded'"
        self._wait(finished, lambda count: count == JOBS)
        ((seconds,),) = self.sql(
            "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(at), MAX(at)) / 1000000 FROM job_events "
            "WHERE sequence > 1"
        )
        return JOBS / float(seconds)

    def _wait(self, statement: str, is_done: Callable[[int], bool]) -> None:
        deadline = time.monotonic() + 300
        while not is_done(int(self.sql(statement)[0][0])):
            if time.monotonic() > deadline:
                sys.exit(f"not within 300 s: {statement}")
            time.sleep(0.5)

    def forget(self) -> None:
        for table in ("jobs", "job_events", "outbox_entries", "effects"):
            self.sql(f"TRUNCATE TABLE {table}")


def _job() -> Job:
    return Job(
        kind="bench.row",
        queue="default",
        owner_id=None,
        trace_id="0" * 32,
        payload={},
        max_attempts=5,
        next_run_at=utc_now(),
    )
