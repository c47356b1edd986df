"""A stop that is asked for: nobody who was let in is sent away, and the process exits 0."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import Signals
from threading import Semaphore

import pytest

from tests import command
from tests.servers import HOST, DatabaseServer
from tests.system.serving import EMBEDDED, SECONDS, Serving

FOR_EVER = 1000


@pytest.fixture
def clients() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as clients:
        yield clients


@pytest.fixture(params=[1, 2], ids=["1 worker", "2 workers"])
def workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def settings(workers: int, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    """Of one process on the embedded set, or of several, which that cannot serve, on the real."""
    if workers == 1:
        return dict(EMBEDDED)
    real: dict[str, object] = request.getfixturevalue("some_servers")
    return {**real, "WORKERS": workers}


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_an_idle_service_stops_with_0(
    settings: dict[str, object],
    tmp_path: Path,
    how: str,
    record_property: Callable[[str, object], None],
) -> None:
    with Serving(tmp_path, settings) as service, service.connect():  # a connection kept alive
        asked = time.monotonic()
        if how == "Ctrl-C":
            service.send_to_group(Signals.SIGINT)  # as a terminal does
        else:
            service.send(Signals[how])
        assert service.wait_for_exit() == 0
        record_property(f"from {how} to exit 0", f"{time.monotonic() - asked:.2f} s")
    assert "Traceback" not in service.log + service.errors
    assert service.lines_at("ERROR", "CRITICAL") == []
    assert "stopping" in [line["message"] for line in service.lines]


def test_a_draining_service_is_not_ready_and_goes_on_serving_whoever_comes(
    settings: dict[str, object], tmp_path: Path, workers: int
) -> None:
    drain = {"DRAIN_DELAY_SECONDS": FOR_EVER}
    with Serving(tmp_path, {**settings, **drain}, with_routes=True) as service:
        service.send(Signals.SIGTERM)
        # Each worker is told by itself: at last no one is ready any more.
        service.wait_for(
            lambda: [service.status("/readyz") for _ in range(8 * workers)] == [503] * 8 * workers
        )
        parts = service.http.get("/readyz").json()["data"]["parts"]
        assert parts == {"database": "ok", "redis": "ok", "server": "draining"}
        for _ in range(4 * workers):
            assert service.status("/livez") == 200
            assert service.status("/number/1") == 200
        # One who does not want to wait asks again.
        service.send_to_group(Signals.SIGINT)
        service.send_to_group(Signals.SIGINT)
        assert service.wait_for_exit() == 0
    assert "Traceback" not in service.log + service.errors


def test_requests_in_flight_are_answered_after_the_listeners_have_closed(
    settings: dict[str, object], tmp_path: Path, clients: ThreadPoolExecutor
) -> None:
    delay = 1
    with Serving(tmp_path, {**settings, "DRAIN_DELAY_SECONDS": delay}, with_routes=True) as service:
        request = clients.submit(service.http.get, "/held/request")
        stream = clients.submit(service.http.get, "/held-stream/stream")
        service.entered("request")
        service.entered("stream")
        asked = time.monotonic()
        service.send(Signals.SIGTERM)
        service.wait_for(lambda: service.status("/livez") is None)
        assert time.monotonic() - asked >= delay
        assert not request.done()
        assert not stream.done()
        service.release("request")
        service.release("stream")
        assert request.result().json()["data"] == "request"
        assert stream.result().text == "first,last"
        assert service.wait_for_exit() == 0
    assert "Traceback" not in service.log + service.errors
    assert service.lines_at("ERROR", "CRITICAL") == []


def test_a_request_beyond_the_grace_is_503_and_the_stop_goes_on(
    settings: dict[str, object], tmp_path: Path, clients: ThreadPoolExecutor
) -> None:
    with Serving(tmp_path, {**settings, "SHUTDOWN_GRACE_SECONDS": 1}, with_routes=True) as service:
        request = clients.submit(service.http.get, "/held/request")
        service.entered("request")
        service.send(Signals.SIGTERM)
        reply = request.result()
        assert (reply.status_code, reply.json()["code"]) == (503, 50003)
        assert reply.headers["connection"] == "close"
        assert service.wait_for_exit() == 0
    assert "Traceback" not in service.log + service.errors


def test_a_stop_does_not_wait_for_a_database_that_is_frozen(
    servers: dict[str, str], database: DatabaseServer, tmp_path: Path
) -> None:
    with Serving(tmp_path, servers, with_routes=True) as service:
        assert service.status("/database") == 200
        database.freeze()
        try:
            service.send(Signals.SIGTERM)
            assert service.wait_for_exit() == 0
        finally:
            database.thaw()
    assert "Traceback" not in service.log + service.errors


# Of `serve`, in `local`: its migration, which comes before there is a server.
@pytest.mark.parametrize(("verb", "app_env"), [("worker", "test"), ("serve", "local")])
def test_what_is_still_starting_stops_with_0(tmp_path: Path, verb: str, app_env: str) -> None:
    """The first process of a container would not even hear a signal that nobody handles."""
    with socket.create_server((HOST, 0)) as silent:  # a database that takes connections, no more
        silent.settimeout(SECONDS)
        database = {
            "APP_ENV": app_env,
            "DB_HOST": HOST,
            "DB_PORT": silent.getsockname()[1],
            "DB_USERNAME": "groundwork",
            "DB_PASSWORD": "unused",
            "DB_DATABASE": "groundwork",
            "REDIS_HOST": "unused",
        }
        process = command.start(command.environment(tmp_path, database), verb)
        try:
            with silent.accept()[0]:
                process.terminate()
                out, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, err) == (0, ""), out


def test_open_streams_are_cut_with_a_hint_when_the_service_stops(
    settings: dict[str, object], tmp_path: Path, clients: ThreadPoolExecutor
) -> None:
    # Longer than the test waits: no stream may last until the grace of a stop is over.
    grace = {"SHUTDOWN_GRACE_SECONDS": 5 * SECONDS}
    with Serving(tmp_path, {**settings, **grace}) as service:
        job = waiting_job(service)
        has_begun = Semaphore(0)

        def follow() -> str:
            received = ""
            with service.http.stream("GET", f"/v1/jobs/{job}/events") as reply:
                assert reply.status_code == 200
                for text in reply.iter_text():
                    received += text
                    if received.endswith("id: 1\n\n"):
                        has_begun.release()
            return received

        streams = [clients.submit(follow) for _ in range(20)]
        for _ in streams:
            assert has_begun.acquire(timeout=SECONDS)
        service.send(Signals.SIGTERM)
        for stream in streams:
            # Whole: a reply that breaks off would have raised.
            assert re.search(r"retry: [1-5][0-9]{3}\n\n$", stream.result(SECONDS))
        assert service.wait_for_exit() == 0
    assert "Traceback" not in service.log + service.errors
    assert service.lines_at("ERROR", "CRITICAL") == []


def waiting_job(service: Serving) -> str:
    """Of an admin, who is logged in from now on; due tomorrow."""
    account = {"username": "ada", "password": "correct horse battery staple"}
    made = subprocess.run(
        [command.GROUNDWORK, "users", "create-admin", account["username"]],
        input=account["password"],
        env=service.env,
        cwd=service.folder,
        text=True,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    token = service.http.post("/v1/auth/login", json=account).json()["data"]["access_token"]
    service.http.headers["Authorization"] = f"Bearer {token}"
    job = {
        "kind": "maintenance.purge",
        "payload": {},
        "run_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }
    return str(service.http.post("/v1/jobs", json=job).json()["data"]["id"])
