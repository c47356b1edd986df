"""A part that dies, freezes and comes back, under a service that runs on.

What is promised within 2 s is measured and told; what is asserted has a deadline of its own, so
that a busy machine fails nothing.
"""

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import Any

import pytest

from tests.servers import DatabaseServer, Redis, Server
from tests.system.serving import Serving

REQUEST_TIMEOUT_SECONDS = 2
CONNECTIONS = 2


@pytest.fixture(scope="module")
def service(
    database: DatabaseServer, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Serving]:
    settings = {
        **servers,
        "REQUEST_TIMEOUT_SECONDS": REQUEST_TIMEOUT_SECONDS,
        "DB_POOL_SIZE": CONNECTIONS,
        "DB_MAX_OVERFLOW": 0,
        "REDIS_POOL_SIZE": CONNECTIONS,
    }
    folder = tmp_path_factory.mktemp(f"outages-{database.name}")
    with Serving(folder, settings, with_routes=True) as service:
        yield service


@pytest.fixture(params=["database", "redis"])
def part(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(part: str, database: DatabaseServer, redis: Redis) -> Generator[Server]:
    """The part's server; running again, whatever the test came to."""
    server = database if part == "database" else redis
    yield server
    server.thaw()
    server.start()


type Record = Callable[[str, object], None]


def parts(service: Serving) -> dict[str, Any]:
    data: dict[str, Any] = service.http.get("/readyz").json()["data"]
    return data["parts"]  # type: ignore[no-any-return]


def wait_until_unready(service: Serving, part: str) -> float:
    """Seconds until readiness names the part; the process lives, and the others are fine."""
    seconds = service.wait_for(lambda: service.http.get("/readyz").status_code == 503)
    assert parts(service) == {"database": "ok", "redis": "ok", "server": "ok", part: "unavailable"}
    assert service.http.get("/healthz").status_code == 503
    assert service.http.get("/livez").status_code == 200
    return seconds


def wait_until_ready(service: Serving) -> float:
    seconds = service.wait_for(lambda: service.http.get("/readyz").status_code == 200)
    assert set(parts(service).values()) == {"ok"}
    return seconds


def statuses(service: Serving, part: str, requests: int = 1) -> set[tuple[int, int]]:
    """Status and code of as many requests at once to the route that uses the part."""
    with ThreadPoolExecutor(requests) as clients:
        replies = list(clients.map(service.http.get, [f"/{part}"] * requests))
    return {(reply.status_code, reply.json()["code"]) for reply in replies}


def tell(record: Record, name: str, seconds: float) -> None:
    record(name, f"{seconds:.2f} s")


def test_a_part_that_is_killed_makes_unready_and_its_restart_ready_again(
    service: Serving, part: str, server: Server, record_property: Record
) -> None:
    wait_until_ready(service)
    server.kill()
    tell(record_property, "from kill -9 to 503", wait_until_unready(service, part))
    assert statuses(service, part) == {(503, 50003)}
    server.start()
    tell(record_property, "from its start to 200", wait_until_ready(service))
    # Every pooled connection was made before: each must be told dead and made again.
    assert statuses(service, part, 4 * CONNECTIONS) == {(200, 20000)}


def test_a_part_that_is_frozen_makes_unready_and_its_thaw_ready_again(
    service: Serving, part: str, server: Server, record_property: Record
) -> None:
    wait_until_ready(service)
    assert statuses(service, part, 4 * CONNECTIONS) == {(200, 20000)}
    server.freeze()
    tell(record_property, "from freeze to 503", wait_until_unready(service, part))
    # Nobody waits for ever, and those that gave up have not kept the connections.
    frozen = statuses(service, part, 4 * CONNECTIONS)
    assert frozen <= {(503, 50003), (504, 50004)}
    server.thaw()
    tell(record_property, "from thaw to 200", wait_until_ready(service))
    assert statuses(service, part, 4 * CONNECTIONS) == {(200, 20000)}


def test_an_outage_is_logged_once_at_its_start_and_once_at_its_end(
    service: Serving, part: str, server: Server
) -> None:
    wait_until_ready(service)
    started = datetime.now(UTC).isoformat(
        timespec="microseconds"
    )  # the lines of what was before may still come
    server.kill()
    wait_until_unready(service, part)
    service.wait_for(lambda: service.http.get("/readyz").status_code == 503)
    server.start()
    wait_until_ready(service)

    def told() -> list[tuple[str, str]]:
        lines = [line for line in service.lines if line["logger"] == "health"]
        return [(line["level"], line["message"]) for line in lines if line["time"] > started]

    service.wait_for(lambda: ("INFO", f"{part}: ok") in told())
    assert told() == [
        ("ERROR", f"{part}: unavailable"),
        ("INFO", f"{part}: ok"),
    ]
    assert "Traceback" not in service.log
    assert service.errors == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_frozen_database_does_not_keep_the_service_from_stopping(
    database: DatabaseServer,
    servers: dict[str, str],
    tmp_path: Path,
    workers: int,
    record_property: Record,
) -> None:
    with Serving(tmp_path, {**servers, "WORKERS": workers}, with_routes=True) as service:
        service.wait_for(lambda: len(service.pids()) == workers)
        database.freeze()
        try:
            service.wait_for(lambda: service.http.get("/readyz").status_code == 503)
            asked = time.monotonic()
            service.send(Signals.SIGTERM)
            assert service.wait_for_exit() == 0
            record_property("from SIGTERM to exit 0", f"{time.monotonic() - asked:.1f} s")
        finally:
            database.thaw()
    assert "Traceback" not in service.log + service.errors
