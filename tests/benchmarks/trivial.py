"""Requests that need no database, behind everything that the service has, against bare servers."""

from pathlib import Path

from tests.benchmarks.processes import embedded, environment, python, running
from tests.benchmarks.shapes import EXAMPLE
from tests.benchmarks.table import Row
from tests.benchmarks.wrk import Target, compared
from tests.servers import HOST, free_port


def measure(folder: Path) -> list[Row]:
    """All servers on the same core, in turns, the client on the other."""
    asgi_port, bare_port, port = free_port(), free_port(), free_port()
    asgi_command = python("-m", "tests.benchmarks.bare_asgi", str(asgi_port))
    bare_command = python("-m", "tests.benchmarks.bare", str(bare_port))
    command = python("-m", "tests.benchmarks.service")
    with (
        running(asgi_command, environment(), asgi_port, "/hello"),
        running(bare_command, environment(), bare_port, "/hello"),
        running(command, embedded(folder, port), port, "/hello"),
    ):
        ours, bare = f"http://{HOST}:{port}", f"http://{HOST}:{bare_port}"
        hello = Target(f"{bare}/hello")
        body = {"WRK_BODY": EXAMPLE.model_dump_json()}
        return [
            compared(
                "bare FastAPI, trivial JSON",
                hello,
                Target(f"http://{HOST}:{asgi_port}/hello"),
                "bare ASGI",
            ),
            compared(
                "trivial JSON, everything on",
                Target(f"{ours}/hello"),
                hello,
                "bare FastAPI",
                "at least 0.85",
            ),
            compared(
                "a validated POST",
                Target(f"{ours}/things", "headers.lua", body),
                Target(f"{bare}/things", "headers.lua", body),
                "bare FastAPI",
            ),
        ]
