"""Time from exec to ready, and memory when idle, against the imports nobody can do without."""

import statistics
import subprocess
import time
from pathlib import Path

from tests.benchmarks.processes import (
    environment,
    migrate,
    production,
    python,
    resident_mib,
    running,
)
from tests.benchmarks.table import Row
from tests.servers import MariaDB, Redis, free_port

ROUNDS = 7
IMPORTS = "import fastapi, sqlalchemy.ext.asyncio, redis.asyncio"
SETTLE_SECONDS = 2


def measure(folder: Path, database: MariaDB, redis: Redis) -> list[Row]:
    """On MariaDB and Redis, as in production: the embedded set would leave their drivers out."""
    port = free_port()
    env = production(folder, port, database, redis)
    migrate(env)
    imports, starts, memory = [], [], []
    for _ in range(ROUNDS):
        imports.append(_seconds_to_import())
        with running(python("-m", "internal", "serve"), env, port, "/readyz") as (process, seconds):
            starts.append(seconds)
            time.sleep(SETTLE_SECONDS)
            memory.append(resident_mib(process.pid))
    imported, started = statistics.median(imports), statistics.median(starts)
    return [
        Row(
            "start, exec to /readyz 200",
            f"{started:.2f} s",
            f"{IMPORTS}: {imported:.2f} s",
            "at most 1.3",
            started / imported,
        ),
        Row("memory when idle (RSS)", f"{statistics.median(memory):.0f} MiB", goal="at most 80"),
    ]


def _seconds_to_import() -> float:
    started = time.perf_counter()
    subprocess.run(python("-c", IMPORTS), env=environment(), check=True)
    return time.perf_counter() - started
