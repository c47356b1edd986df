"""Requests per second of the service divided by those of bare FastAPI, in one run."""

import re
import statistics
import subprocess
from pathlib import Path

from tests.benchmarks.processes import CLIENT_CORE, embedded, environment, python, running
from tests.benchmarks.table import Row
from tests.servers import free_port

ROUNDS = 5
SECONDS = 4
CONNECTIONS = 16


def measure(folder: Path) -> list[Row]:
    """Both servers on the same core, in turns, the client on the other; medians of the rounds."""
    bare_port, port = free_port(), free_port()
    bare_command = python("-m", "tests.benchmarks.bare", str(bare_port))
    command = python("-m", "tests.benchmarks.service")
    with (
        running(bare_command, environment(), bare_port, "/hello"),
        running(command, embedded(folder, port), port, "/hello"),
    ):
        rates: dict[int, list[float]] = {bare_port: [], port: []}
        for _ in range(ROUNDS):
            for target, measured in rates.items():
                measured.append(requests_per_second(f"http://127.0.0.1:{target}/hello"))
    bare, ours = statistics.median(rates[bare_port]), statistics.median(rates[port])
    return [
        Row(
            "trivial JSON, everything on",
            f"{ours:.0f} requests/s",
            f"{ours / bare:.2f} of bare FastAPI ({bare:.0f})",
            "at least 0.75",
        )
    ]


def requests_per_second(url: str) -> float:
    """What wrk measures; a reply that is not 2xx ends the run, it would be a wrong figure."""
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if rate is None or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"wrk {url}: {output}")
    return float(rate[1])
