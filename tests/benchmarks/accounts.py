"""What it costs to know who is calling, on MariaDB and Redis."""

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx

from internal.core.caller import Role
from internal.core.clock import utc_now
from internal.core.signature import SignatureHeaders, canonical_request, sign
from tests.benchmarks.people import PASSWORD, People, seed
from tests.benchmarks.processes import migrate, production, python, running
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import SECONDS, Target, compared
from tests.servers import HOST, MariaDB, Redis, free_port

LOGINS = 50
CHAINS = 4
MOST_SIGNED_PER_SECOND = 6000
EVENT = '{"action":"bench.report","object_type":"row","object_id":"1"}'


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    port, bare_port, same_port = free_port(), free_port(), free_port()
    env = production(folder, port, database, redis)
    migrate(env)
    people = seed(env, LOGINS, Role.ADMIN)
    bare_command = python("-m", "tests.benchmarks.bare_database")
    user_id = str(people.user_id)
    with (
        running(python("-m", "tests.benchmarks.service"), env, port, "/readyz"),
        running([*bare_command, str(bare_port), user_id], env, bare_port, "/me"),
        running([*bare_command, str(same_port), user_id, "--our-engine"], env, same_port, "/me"),
    ):
        base, bare = f"http://{HOST}:{port}", f"http://{HOST}:{bare_port}"
        login = httpx.post(f"{base}/v1/auth/login", json=_credentials(people.usernames[0]))
        token = {"WRK_AUTHORIZATION": f"Bearer {login.json()['data']['access_token']}"}
        return [
            *_reads(base, bare, f"http://{HOST}:{same_port}", token, people.user_id),
            _signed(base, bare, people, folder / "signed"),
            _accepted(base, bare, token),
            *asyncio.run(_logins(base, people)),
        ]


def _reads(base: str, bare: str, same: str, token: dict[str, str], user_id: int) -> list[Row]:
    row, me = Target(f"{bare}/me"), Target(f"{base}/v1/auth/me", "headers.lua", token)
    return [
        compared(
            "a row read by the ORM, open to anybody",
            Target(f"{base}/people/{user_id}"),
            row,
            "bare FastAPI, same statement",
        ),
        compared(
            "the same with a token, GET /v1/auth/me",
            me,
            row,
            "bare FastAPI, same statement",
            "at least 0.85",
        ),
        compared(
            "the same again",
            me,
            Target(f"{same}/me"),
            "bare FastAPI on our engine",
        ),
    ]


def _signed(base: str, bare: str, people: People, file: Path) -> Row:
    path = "/v1/internal/audit-events"
    variables = {
        "WRK_BODY": EVENT,
        "WRK_CLIENT": people.client_id,
        "WRK_SIGNED": str(file),
    }
    return compared(
        "a signed POST that writes a row",
        Target(f"{base}{path}", "signed.lua", variables),
        Target(f"{bare}/audit-events", "headers.lua", {"WRK_BODY": EVENT}),
        "bare FastAPI, same call of Redis and statements",
        "at least 0.85",
        before_round=lambda: _sign_many(people, path, file),
    )


def _accepted(base: str, bare: str, token: dict[str, str]) -> Row:
    """Jobs of tomorrow: nothing else is done for them meanwhile."""
    tomorrow = utc_now() + timedelta(days=1)
    body = json.dumps({"kind": "audit.export", "run_at": tomorrow.isoformat()})
    return compared(
        "a job accepted, POST /v1/jobs",
        Target(f"{base}/v1/jobs", "headers.lua", {**token, "WRK_BODY": body}),
        Target(f"{bare}/jobs", "headers.lua", {"WRK_BODY": body}),
        "bare FastAPI, same statements",
    )


def _sign_many(people: People, path: str, file: Path) -> None:
    """More than can be sent in a round: every nonce is good once."""
    secret, timestamp = people.client_secret.encode(), str(int(time.time())).encode()
    with file.open("w") as lines:
        for _ in range(MOST_SIGNED_PER_SECOND * SECONDS):
            nonce = secrets.token_urlsafe(16).encode()
            headers = SignatureHeaders(people.client_id.encode(), timestamp, nonce, b"")
            canonical = canonical_request(headers, b"POST", path.encode(), b"", EVENT.encode())
            parts = (timestamp, nonce, sign(secret, canonical))
            lines.write(b" ".join(parts).decode() + "\n")


async def _logins(base: str, people: People) -> list[Row]:
    async with httpx.AsyncClient(base_url=base, timeout=60) as http:

        async def log_in(username: str) -> str:
            reply = await http.post("/v1/auth/login", json=_credentials(username))
            token: str = reply.raise_for_status().json()["data"]["refresh_token"]
            return token

        started = time.perf_counter()
        stall = asyncio.create_task(http.get("/longest-stall", params={"seconds": 5}))
        tokens = await asyncio.gather(*map(log_in, people.usernames))
        logins = len(tokens) / (time.perf_counter() - started)
        milliseconds: float = (await stall).json()["data"]

        async def refresh(token: str) -> str:
            reply = await http.post("/v1/auth/refresh", json={"refresh_token": token})
            new: str = reply.raise_for_status().json()["data"]["refresh_token"]
            return new

        refreshes = await _per_second(refresh, tokens[:CHAINS])
        known, unknown = await _failures(http, people)
    return [
        Row("logins, 50 at once", f"{logins:.1f} a second", "bcrypt of cost 12"),
        Row("longest stall of the loop meanwhile", f"{milliseconds:.0f} ms", ""),
        Row("refreshes, 4 at once", f"{refreshes:.0f} a second", ""),
        Row("a wrong password, known account", _spread(known), ""),
        Row("a wrong password, unknown account", _spread(unknown), "the same work"),
    ]


async def _failures(http: httpx.AsyncClient, people: People) -> tuple[list[float], list[float]]:
    """Milliseconds of failed logins, one after the other: of accounts there are, and of others."""
    known: list[float] = []
    unknown: list[float] = []
    for username in people.usernames:
        for measured, name in ((known, username), (unknown, f"no-{username}")):
            started = time.perf_counter()
            credentials = {"username": name, "password": "not the password"}
            reply = await http.post("/v1/auth/login", json=credentials)
            measured.append((time.perf_counter() - started) * 1000)
            if reply.status_code != 401:  # a figure of something else
                raise SystemExit(reply.text)
    return known, unknown


def _spread(milliseconds: list[float]) -> str:
    tenths = statistics.quantiles(milliseconds, n=10)
    return f"{statistics.median(milliseconds):.0f} ms ({tenths[0]:.0f} to {tenths[-1]:.0f})"


async def _per_second[T](step: Callable[[T], Awaitable[T]], chains: list[T]) -> float:
    """Steps per second of several chains, each feeding its result to its next step."""
    count, end = 0, time.perf_counter() + SECONDS

    async def run(value: T) -> None:
        nonlocal count
        while time.perf_counter() < end:
            value = await step(value)
            count += 1

    await asyncio.gather(*map(run, chains))
    return count / SECONDS


def _credentials(username: str) -> dict[str, str]:
    return {"username": username, "password": PASSWORD}
