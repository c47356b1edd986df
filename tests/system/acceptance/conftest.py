"""What is accepted is told by the environment, wherever it runs:

- BASE_URL: of the service, or of the balancer before it; without it nothing here runs
- REPLICA_URL: of one replica, where a balancer would answer in its place; else BASE_URL
- KILL_DATABASE, START_DATABASE, FREEZE_DATABASE, THAW_DATABASE: command lines; and those of REDIS
- RESTART_REPLICAS: command lines, a line each; one restarts a replica gracefully and returns when
  it is ready again
- GROUNDWORK: the service's own command with the service's settings, which takes arguments
  after it and reads stdin: makes an admin
- KILL_WORKER, START_WORKER: command lines; jobs are tried where they are given
- EXPORTS_APART: set where the API does not see the folder that the worker exports into

Each command line is run by a shell; what has none is skipped, and says so.
"""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.servers import ServerMissing

# Generous: machines that are emulated run this, too.
SECONDS = 180


PASSWORD = "a passphrase of the acceptance suite"


@dataclass(frozen=True)
class Admin:
    username: str
    access_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    def login(self, http: httpx.Client) -> dict[str, str]:
        """The tokens of a session of its own."""
        return login(http, self.username)


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


@pytest.fixture(scope="session")
def admin(base_url: str) -> Admin:
    """One that nobody has met: the suite may run twice on the same database."""
    username = f"acceptance-{uuid.uuid4().hex[:12]}"
    make = f"{command('GROUNDWORK')} users create-admin {username}"
    run(make, f"{PASSWORD}\n")
    with httpx.Client(base_url=base_url, timeout=SECONDS, trust_env=False) as client:
        eventually(lambda: status(client, "/readyz") == 200, "ready before")
        return Admin(username, login(client, username)["access_token"])


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


def run(line: str, stdin: str = "") -> None:
    subprocess.run(line, shell=True, check=True, timeout=SECONDS, input=stdin, text=True)


def login(http: httpx.Client, username: str) -> dict[str, str]:
    reply = http.post("/v1/auth/login", json={"username": username, "password": PASSWORD})
    assert reply.status_code == 200, reply.text
    tokens: dict[str, str] = reply.json()["data"]
    return tokens


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
