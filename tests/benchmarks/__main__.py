"""`make bench`: every figure against its yardstick, both measured in this run on this machine."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import accounts, jobs, metrics, start, streams, trivial
from tests.benchmarks.table import print_table
from tests.servers import MariaDB, Redis


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
    with tempfile.TemporaryDirectory() as name, MariaDB() as database, Redis() as redis:
        folder = Path(name)
        print_table(
            [
                *trivial.measure(folder),
                *start.measure(folder, database, redis),
                *accounts.measure(folder, database, redis),
                *jobs.measure(folder, database, redis),
                *streams.measure(folder, database, redis),
                *metrics.measure(),
            ]
        )


main()
