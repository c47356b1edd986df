"""Processes that tell their figures on ports of their own."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import command
from tests.servers import DATABASES, HOST, DatabaseServer, die_with_the_tests, free_port
from tests.system.conftest import Running
from tests.system.scraping import figure
from tests.system.serving import SECONDS

CHILDREN = 2  # of a worker


@pytest.mark.parametrize("verb", ["serve", "scheduler", "worker"])
def test_a_port_that_is_taken_is_one_clear_line(
    some_servers: dict[str, str], tmp_path: Path, verb: str
) -> None:
    with socket.create_server((HOST, free_port())) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [command.GROUNDWORK, verb],
            env=process_environment(tmp_path, some_servers, port),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(rf"CRITICAL: cannot listen on {HOST} port {port}: .*METRICS_PORT", line)
    assert done.returncode == 1


def test_a_worker_and_a_scheduler_tell_on_ports_of_their_own(
    some_servers: dict[str, str], running: Running, tmp_path: Path
) -> None:
    worker, scheduler = free_port(), free_port()
    database = running(DATABASES[0])
    assert isinstance(database, DatabaseServer)
    # An earlier leader may have done already what is due once an hour.
    database.execute(f"USE `{database.database}`", "DELETE FROM scheduler_ticks")
    with (
        process(tmp_path, some_servers, worker, "worker"),
        process(tmp_path, some_servers, scheduler, "scheduler"),
    ):
        wait_for(lambda: figure(at(scheduler), "scheduler_is_leader") == 1)
        wait_for(lambda: "outbox_lag_seconds{} " in at(scheduler))
        # What the scheduler asks for as soon as it leads, executed by one of the children.
        purged = ("jobs_total", 'kind="maintenance.purge"', 'state="succeeded"')
        wait_for(lambda: figure(at(worker), *purged) >= 1)
        assert figure(at(worker), "job_duration_seconds_count", *purged[1:]) >= 1
        wait_for(lambda: figure(at(worker), "db_pool_size") == 2 * CHILDREN)


def at(port: int) -> str:
    try:
        return httpx.get(f"http://{HOST}:{port}/metrics", timeout=SECONDS).text
    except httpx.TransportError:
        return ""


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def process_environment(folder: Path, servers: Mapping[str, str], port: int) -> dict[str, str]:
    own = {"HOST": HOST, "PORT": free_port(), "METRICS_PORT": port, "SHUTDOWN_GRACE_SECONDS": 5}
    return command.environment(folder, {**servers, **own})


@contextmanager
def process(folder: Path, servers: Mapping[str, str], port: int, verb: str) -> Generator[None]:
    with (folder / verb).open("wb") as log:
        started = subprocess.Popen(
            [command.GROUNDWORK, verb],
            env=process_environment(folder, servers, port),
            stdout=log,
            stderr=log,
            preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
        )
    try:
        yield
    finally:
        started.terminate()
        assert started.wait(SECONDS) == 0, (folder / verb).read_text()
