"""Latency at half of the highest rate, and what a request costs with one worker and with two."""

import asyncio
import selectors
import statistics
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.load import request, send_at_rate
from tests.benchmarks.processes import (
    cpu_seconds,
    embedded,
    environment,
    family,
    migrate,
    production,
    python,
    running,
)
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import ROUNDS, SECONDS, Target, requests_per_second, requests_sent
from tests.servers import HOST, MariaDB, Redis, free_port

# A command and its environment, for a port and a number of workers.
type Server = Callable[[int, int], tuple[list[str], dict[str, str]]]


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    return [*_latencies(folder), *_scaling(folder, database, redis)]


def _latencies(folder: Path) -> list[Row]:
    """At half of our highest rate; bare FastAPI at the same, for what client and machine add."""
    port, bare_port = free_port(), free_port()
    command = python("-m", "tests.benchmarks.service")
    with running(command, embedded(folder, port), port, "/hello"):
        rate = requests_per_second(Target(f"http://{HOST}:{port}/hello")) / 2
        ours = _percentiles("trivial JSON", port, rate, "below 3")
    bare = python("-m", "tests.benchmarks.bare", str(bare_port))
    with running(bare, environment(), bare_port, "/hello"):
        return [ours, _percentiles("trivial JSON of bare FastAPI", bare_port, rate)]


def _percentiles(what: str, port: int, rate: float, goal: str = "") -> Row:
    rounds = [_milliseconds(port, rate) for _ in range(ROUNDS)]
    p50, p99 = (statistics.median(column) for column in zip(*rounds, strict=True))
    return Row(
        f"p99 of {what} at {rate:.0f} requests/s",
        f"{p99:.2f} ms",
        f"p50: {p50:.2f} ms",
        goal,
        p99 / p50,
    )


def _milliseconds(port: int, rate: float) -> tuple[float, float]:
    requests = send_at_rate(HOST, port, [request("GET", "/hello")], rate, SECONDS)
    sent = asyncio.run(requests, loop_factory=_punctual_loop)
    if set(sent.statuses) != {200}:
        raise SystemExit(f"replies: {sent.statuses}")
    percentiles = statistics.quantiles(sent.latencies, n=100)
    return percentiles[49] * 1000, percentiles[98] * 1000


def _punctual_loop() -> asyncio.AbstractEventLoop:
    """With epoll, timers are rounded up to milliseconds: requests would be sent in bursts."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _scaling(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    """Two workers share a core with each other, as one has it to itself: so does bare FastAPI."""

    def ours(port: int, workers: int) -> tuple[list[str], dict[str, str]]:
        env = production(folder, port, database, redis, WORKERS=str(workers))
        migrate(env)
        return python("-m", "tests.benchmarks.service"), env

    def bare(port: int, workers: int) -> tuple[list[str], dict[str, str]]:
        options = f"--port {port} --workers {workers} --loop uvloop --http httptools"
        quiet = ("--no-access-log", "--log-level", "warning")
        app = "tests.benchmarks.bare:app"
        return python("-m", "uvicorn", app, *options.split(), *quiet), environment()

    return [
        _growth("a trivial request", ours, "about 1"),
        _growth("a trivial request of bare FastAPI", bare),
    ]


def _growth(what: str, server: Server, goal: str = "") -> Row:
    one, two = (_cpu_per_request(server, workers) for workers in (1, 2))
    return Row(
        f"processor time of {what}, two workers",
        f"{two:.0f} us",
        f"one worker: {one:.0f} us",
        goal,
        two / one,
    )


def _cpu_per_request(server: Server, workers: int) -> float:
    """Microseconds, of all processes of the service, which all run on the same core."""
    port = free_port()
    taken = []
    with running(*server(port, workers), port, "/hello") as (process, _):
        for _ in range(ROUNDS):
            before = sum(map(cpu_seconds, family(process.pid)))
            count = requests_sent(Target(f"http://{HOST}:{port}/hello"))
            after = sum(map(cpu_seconds, family(process.pid)))
            taken.append((after - before) / count * 1e6)
    return statistics.median(taken)
