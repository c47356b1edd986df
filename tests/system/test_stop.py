"""A stop that is asked for: nobody who was let in is sent away, and the process exits 0."""

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals

import pytest

from tests.servers import DatabaseServer
from tests.system.serving import EMBEDDED, Serving

FOR_EVER = 1000


@pytest.fixture
def clients() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as clients:
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
