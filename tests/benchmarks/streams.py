"""What an idle stream of a job's events costs: memory of the process, and its core's time."""

import asyncio
import resource
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx

from internal.core.caller import Role
from internal.core.clock import utc_now
from tests.benchmarks.people import PASSWORD, seed
from tests.benchmarks.processes import (
    cpu_seconds,
    migrate,
    production,
    python,
    resident_mib,
    running,
)
from tests.benchmarks.table import Row
from tests.servers import HOST, MariaDB, Redis, free_port

STREAMS = 1000
STREAMS_A_CALLER = 100
SPARE_FILES = 200
SETTLE_SECONDS = 3
SECONDS = 20


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    port = free_port()
    env = production(folder, port, database, redis)
    env |= {"SCHEDULER_ENABLED": "false", "LOG_LEVEL": "WARNING"}
    migrate(env)
    usernames = seed(env, STREAMS // STREAMS_A_CALLER, Role.ADMIN).usernames
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with running(python("-m", "internal", "serve"), env, port, "/readyz") as (process, _):
        return asyncio.run(_measure(port, process, usernames, min(STREAMS, files - SPARE_FILES)))


async def _measure(
    port: int, process: subprocess.Popen[bytes], usernames: list[str], count: int
) -> list[Row]:
    """Each caller watches jobs of their own, which wait until tomorrow."""
    async with AsyncExitStack() as stack:
        watched = [await submit_job(port, username) for username in usernames]
        await asyncio.sleep(SETTLE_SECONDS)
        memory, idle = resident_mib(process.pid), await _seconds_of_cpu(process)
        for number in range(count):
            await stack.enter_async_context(open_stream(port, *watched[number % len(watched)]))
        await asyncio.sleep(SETTLE_SECONDS)
        kib = (resident_mib(process.pid) - memory) * 1024 / count
        busy = await _seconds_of_cpu(process)
    limited = "" if count == STREAMS else f" (this shell's limit of files allows {count})"
    return [
        Row(f"memory of an idle stream, of {count}{limited}", f"{kib:.0f} KiB"),
        Row(
            f"processor while {count} streams idle",
            f"{busy / SECONDS:.1%} of a core",
            f"{idle / SECONDS:.1%} with none",
        ),
    ]


async def submit_job(port: int, username: str) -> tuple[str, str]:
    """The path of a new job's events, and the token that opens it."""
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60) as http:
        credentials = {"username": username, "password": PASSWORD}
        login = (await http.post("/v1/auth/login", json=credentials)).raise_for_status()
        token: str = login.json()["data"]["access_token"]
        job = {"kind": "maintenance.purge", "run_at": str(utc_now() + timedelta(days=1))}
        headers = {"Authorization": f"Bearer {token}"}
        reply = (await http.post("/v1/jobs", json=job, headers=headers)).raise_for_status()
        return f"/v1/jobs/{reply.json()['data']['id']}/events", token


@asynccontextmanager
async def open_stream(port: int, path: str, token: str) -> AsyncGenerator[asyncio.StreamReader]:
    """A stream whose first event has arrived."""
    reader, writer = await asyncio.open_connection(HOST, port)
    lines = (f"GET {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {token}", "", "")
    writer.write("\r\n".join(lines).encode())
    await reader.readuntil(b"event: queued")
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def _seconds_of_cpu(process: subprocess.Popen[bytes]) -> float:
    """Of the process, within `SECONDS`."""
    before = cpu_seconds(process.pid)
    await asyncio.sleep(SECONDS)
    return cpu_seconds(process.pid) - before
