"""One job's change of status, to everybody who watches it: what a delivery costs the processor."""

import asyncio
import statistics
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from internal.core.caller import Role
from internal.core.clock import utc_now
from internal.core.job_status import JobStatus
from internal.schemas.jobs import JobEventView
from tests.benchmarks.people import seed
from tests.benchmarks.processes import (
    cpu_seconds,
    environment,
    migrate,
    production,
    python,
    running,
)
from tests.benchmarks.streams import STREAMS_A_CALLER, open_stream, submit_job
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import ROUNDS
from tests.servers import HOST, MariaDB, Redis, free_port

STREAMS = 400  # twice that many sockets: a shell often allows 1,024 files
EVENTS_A_ROUND = 5
DEADLINE_SECONDS = 60

type Readers = list[asyncio.StreamReader]
type Publish = Callable[[JobEventView], Awaitable[object]]


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    port, bare_port = free_port(), free_port()
    env = production(folder, port, database, redis)
    env |= {"SCHEDULER_ENABLED": "false", "LOG_LEVEL": "WARNING"}
    migrate(env)
    usernames = seed(env, STREAMS // STREAMS_A_CALLER, Role.ADMIN).usernames
    bare_command = python("-m", "tests.benchmarks.bare_streams", str(bare_port))
    with (
        running(python("-m", "internal", "serve"), env, port, "/readyz") as (ours, _),
        running(bare_command, environment(), bare_port, "/ready") as (bare, _),
    ):
        rate, bare_rate = asyncio.run(_measure(port, bare_port, ours, bare, usernames, database))
    return [
        Row(
            f"a change of status to {STREAMS} streams of events",
            f"{rate:.0f} events a second of processor",
            f"bare FastAPI, the same events from queues: {bare_rate:.0f}",
            ratio=rate / bare_rate,
        )
    ]


async def _measure(
    port: int,
    bare_port: int,
    ours: subprocess.Popen[bytes],
    bare: subprocess.Popen[bytes],
    usernames: list[str],
    database: MariaDB,
) -> tuple[float, float]:
    """Events delivered in a second of processor time, in turns: medians of the rounds."""
    async with AsyncExitStack() as stack:
        watched = [await submit_job(port, username) for username in usernames]
        events, _ = watched[0]  # an administrator watches anybody's
        tokens = [token for _, token in watched]
        readers: Readers = []
        bare_readers: Readers = []
        for number in range(STREAMS):
            token = tokens[number // STREAMS_A_CALLER]
            readers.append(await stack.enter_async_context(open_stream(port, events, token)))
            own = open_stream(bare_port, "/events", "none")
            bare_readers.append(await stack.enter_async_context(own))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{HOST}:{bare_port}")
        )

        async def publish(event: JobEventView) -> None:
            await asyncio.to_thread(_write, database, int(events.split("/")[3]), event)

        async def publish_bare(event: JobEventView) -> None:
            (await http.post("/events", json=event.model_dump(mode="json"))).raise_for_status()

        rates: list[tuple[float, float]] = []
        for number in range(ROUNDS):
            first = 2 + number * EVENTS_A_ROUND
            rates.append(
                (
                    await _rate(ours, readers, publish, first),
                    await _rate(bare, bare_readers, publish_bare, first),
                )
            )
    rate, bare_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    return rate, bare_rate


async def _rate(
    process: subprocess.Popen[bytes], readers: Readers, publish: Publish, first: int
) -> float:
    """Each event is published when everybody has had the one before."""
    before = cpu_seconds(process.pid)
    for sequence in range(first, first + EVENTS_A_ROUND):
        event = JobEventView(
            sequence=sequence, status=JobStatus.RUNNING, attempt=1, at=utc_now(), message=None
        )
        await publish(event)
        end = f"id: {sequence}\n\n".encode()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*(reader.readuntil(end) for reader in readers))
    return EVENTS_A_ROUND * len(readers) / (cpu_seconds(process.pid) - before)


def _write(database: MariaDB, job_id: int, event: JobEventView) -> None:
    """What a worker's change of status leaves in the tables."""
    database.execute(
        f"USE {database.database}",
        f"INSERT INTO job_events (job_id, sequence, status, attempt, at) VALUES ({job_id},"
        f" {event.sequence}, '{event.status}', {event.attempt}, UTC_TIMESTAMP(6))",
        f"UPDATE jobs SET events = {event.sequence} WHERE id = {job_id}",
    )
