"""What is accepted is told by the environment, wherever it runs:

- BASE_URL: of the service, or of the balancer before it; without it nothing here runs
- REPLICA_URL: of one replica, where a balancer would answer in its place; else BASE_URL
- KILL_DATABASE, START_DATABASE, FREEZE_DATABASE, THAW_DATABASE: command lines; and those of REDIS
- RESTART_REPLICAS: command lines, a line each; one restarts a replica gracefully and returns when
  it is ready again

Each command line is run by a shell; what has none is skipped, and says so.
"""

import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.servers import ServerMissing

# Generous: machines that are emulated run this, too.
SECONDS = 180


@pytest.fixture(scope="session")
def base_url() -> str:
    url = os.environ.get("BASE_URL")
    if not url:
        raise ServerMissing("BASE_URL names no service to accept: `make acceptance` starts one")
    return url


@pytest.fixture
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=SECONDS, trust_env=False) as client:
        # After a fault, a balancer learns a moment later than the replicas that all is well.
        eventually(lambda: status(client, "/readyz") == 200, "ready before")
        yield client


@pytest.fixture
def replica(base_url: str) -> Iterator[httpx.Client]:
    """One that is asked directly: a balancer answers for replicas that are not ready."""
    url = os.environ.get("REPLICA_URL") or base_url
    with httpx.Client(base_url=url, timeout=SECONDS, trust_env=False) as client:
        yield client


def command(name: str) -> str:
    line = os.environ.get(name)
    if not line:
        raise ServerMissing(f"{name} is not given: tests that need it do not run")
    return line


def run(line: str) -> None:
    subprocess.run(line, shell=True, check=True, timeout=SECONDS)


def status(http: httpx.Client, path: str) -> int | None:
    """What a GET is answered with; None where there is nobody."""
    try:
        return http.get(path).status_code
    except httpx.TransportError:
        return None


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.2)


@contextmanager
def without(http: httpx.Client, harm: str, mend: str) -> Generator[None]:
    """While `harm` has been done; mended, and ready again, afterwards."""
    eventually(lambda: status(http, "/readyz") == 200, "ready before")
    mending = command(mend)
    run(command(harm))
    try:
        yield
    finally:
        run(mending)
    eventually(lambda: status(http, "/readyz") == 200, f"ready after {mend}")
