"""A trivial JSON route behind everything that the service has, against bare FastAPI."""

from pathlib import Path

from tests.benchmarks.processes import embedded, environment, python, running
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import Target, compared
from tests.servers import HOST, free_port


def measure(folder: Path) -> list[Row]:
    """Both servers on the same core, in turns, the client on the other."""
    bare_port, port = free_port(), free_port()
    bare_command = python("-m", "tests.benchmarks.bare", str(bare_port))
    command = python("-m", "tests.benchmarks.service")
    with (
        running(bare_command, environment(), bare_port, "/hello"),
        running(command, embedded(folder, port), port, "/hello"),
    ):
        ours, bare = compared(
            Target(f"http://{HOST}:{port}/hello"), Target(f"http://{HOST}:{bare_port}/hello")
        )
    return [
        Row(
            "trivial JSON, everything on",
            f"{ours:.0f} requests/s",
            f"{ours / bare:.2f} of bare FastAPI ({bare:.0f})",
            "at least 0.75",
        )
    ]
