"""`make bench`: every figure against its yardstick, both measured in this run on this machine."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import (
    accounts,
    fan_out,
    jobs,
    latency,
    lines,
    memory,
    metrics,
    start,
    streams,
    trivial,
)
from tests.benchmarks.processes import leave_server_core
from tests.benchmarks.table import Row, print_table, write_json
from tests.servers import MariaDB, Redis

FILE = Path("var/benchmarks.json")


def main() -> None:
    missing = [
        name
        for name, path in (
            ("wrk", shutil.which("wrk")),
            ("mariadb-server", MariaDB.binary()),
            ("redis-server", Redis.binary()),
        )
        if path is None
    ]
    if missing:
        sys.exit(f"missing: {' '.join(missing)} (Debian: apt install {' '.join(missing)})")
    leave_server_core()
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as name, MariaDB() as database, Redis() as redis:
            folder = Path(name)
            rows += trivial.measure(folder)
            rows += accounts.measure(folder, database, redis)
            rows += start.measure(folder, database, redis)
            rows += latency.measure(folder, database, redis)
            rows += memory.measure(folder, database, redis)
            rows += jobs.measure(folder, database, redis)
            rows += streams.measure(folder, database, redis)
            rows += fan_out.measure(folder, database, redis)
            rows += metrics.measure()
            rows += lines.measure()
    finally:
        print_table(rows)  # also of a run that somebody ends
        write_json(rows, FILE)
        print(f"\nthe same as JSON: {FILE}")


main()
