"""wrk, and comparing two targets in turns."""

import re
import statistics
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.processes import environment
from tests.benchmarks.table import Row

ROUNDS = 5
SECONDS = 4
CONNECTIONS = 16
_SCRIPTS = Path(__file__).parent


class Target(NamedTuple):
    """What is asked for. `script` is a Lua file here, which gets `variables` by the environment."""

    url: str
    script: str = ""
    variables: Mapping[str, str] = {}


def compared(
    name: str,
    ours: Target,
    bare: Target,
    yardstick: str,
    goal: str = "",
    before_round: Callable[[], None] = lambda: None,
) -> Row:
    """Requests per second of both, measured in turns: medians of the rounds."""
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        before_round()
        rates.append((requests_per_second(ours), requests_per_second(bare)))
    rate, bare_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    against = f"{yardstick}: {bare_rate:.0f}"
    return Row(name, f"{rate:.0f} requests/s", against, goal, rate / bare_rate)


def requests_per_second(target: Target) -> float:
    """What wrk measures; a reply that is not 2xx ends the run, it would be a wrong figure."""
    return _run(target, r"Requests/sec:\s+([\d.]+)")


def requests_sent(target: Target) -> int:
    """How many were answered, in `SECONDS`."""
    return int(_run(target, r"(\d+) requests in"))


def _run(target: Target, figure: str) -> float:
    script = ["-s", str(_SCRIPTS / target.script)] if target.script else []
    command = [
        *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"),
        *(*script, target.url),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(**target.variables)
    )
    found = re.search(figure, done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"wrk {target.url}: {done.stdout}{done.stderr}")
    return float(found[1])
