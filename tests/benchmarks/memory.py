"""How much a process grows by 100,000 requests of all sorts, after its first few."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from internal.core.caller import Role
from tests.benchmarks.load import request, send_at_rate
from tests.benchmarks.people import PASSWORD, seed
from tests.benchmarks.processes import migrate, production, python, resident_mib, running
from tests.benchmarks.shapes import EXAMPLE
from tests.benchmarks.table import Row
from tests.servers import HOST, MariaDB, Redis, free_port

REQUESTS = 100_000
WARM = 5_000
PER_SECOND = 1_000_000  # as fast as they are answered


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    port = free_port()
    env = production(folder, port, database, redis)
    migrate(env)
    username = seed(env, 1, Role.ADMIN).usernames[0]
    with running(python("-m", "tests.benchmarks.service"), env, port, "/readyz") as (process, _):
        requests = mixed(port, username)
        _send(port, requests, WARM)
        before = resident_mib(process.pid)
        _send(port, requests, REQUESTS)
        after = resident_mib(process.pid)
    return [
        Row(
            f"memory after {REQUESTS:,} requests of all sorts",
            f"{after:.1f} MiB",
            f"before: {before:.1f} MiB",
            "growth below 5 MiB",
        )
    ]


def mixed(port: int, username: str) -> Sequence[bytes]:
    """Reads and writes, good and bad, with and without a token.

    A first job is handed over before: it loads Celery, which would otherwise be counted as growth
    in a run in which a job happens to be due, and in no other.
    """
    base = f"http://{HOST}:{port}"
    login = {"username": username, "password": PASSWORD}
    reply = httpx.post(f"{base}/v1/auth/login", json=login).raise_for_status()
    authorization = f"Bearer {reply.json()['data']['access_token']}"
    headers = {"Authorization": authorization}
    httpx.post(f"{base}/v1/jobs", json={"kind": "audit.export"}, headers=headers).raise_for_status()
    token = f"Authorization: {authorization}"
    return [
        request("GET", "/hello"),
        request("POST", "/things", EXAMPLE.model_dump_json()),
        request("POST", "/things", '{"title":""}'),
        request("POST", "/things", "{"),
        request("GET", "/v1/auth/me", "", token),
        request("GET", "/v1/auth/me"),
        request("GET", "/v1/jobs?limit=5", "", token),
        request("GET", "/v1/jobs/1", "", token),
        request("GET", "/nothing/here"),
        request("DELETE", "/hello"),
    ]


def _send(port: int, requests: Sequence[bytes], count: int) -> None:
    sent = asyncio.run(send_at_rate(HOST, port, requests, PER_SECOND, count / PER_SECOND))
    unforeseen = [status for status in sent.statuses if status >= 500]
    if unforeseen:
        raise SystemExit(f"replies: {sent.statuses}")
