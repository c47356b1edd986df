"""Several processes behind one socket."""

from collections.abc import Generator
from os import kill
from signal import Signals

import pytest
import uvicorn

from internal.server import Worker
from tests.system.serving import Serving

WORKERS = 2
FOR_EVER = 1000


@pytest.fixture(scope="module")
def service(
    some_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Serving]:
    folder = tmp_path_factory.mktemp("workers")
    with Serving(folder, {**some_servers, "WORKERS": WORKERS}, with_routes=True) as service:
        service.wait_for(lambda: len(service.pids()) == WORKERS)
        yield service


def test_every_worker_serves_and_none_of_them_is_the_parent(service: Serving) -> None:
    assert service.process.pid not in service.pids()


def test_a_worker_that_is_killed_is_replaced(service: Serving) -> None:
    before = service.pids()
    victim = min(before)
    kill(victim, Signals.SIGKILL)
    service.wait_for(lambda: victim not in (now := service.pids()) and len(now) == WORKERS)
    assert service.status("/readyz") == 200
    assert len(service.pids() & before) == WORKERS - 1


def test_each_line_of_the_log_is_whole_whoever_wrote_it(service: Serving) -> None:
    for _ in range(50):
        service.http.get("/number/1")

    def count() -> int:
        return sum(line.get("route") == "/number/{number}" for line in service.lines)

    service.wait_for(lambda: count() == 50)


class Living:
    """A process that is there and does nothing."""

    def is_alive(self) -> bool:
        return True


def test_a_worker_may_take_its_time_to_start_and_only_then_has_to_answer() -> None:
    worker = Worker(uvicorn.Config("unused", log_config=None), [])
    worker.process = Living()  # type: ignore[assignment]
    worker.parent_conn.send(b"ping")
    assert worker.is_alive(FOR_EVER)  # nothing was answered yet, nobody waits for it
    for has_started in (False, False, True):
        assert worker.child_conn.recv() == b"ping"
        worker.child_conn.send(has_started)
        if not has_started:
            assert worker.is_alive(FOR_EVER)
    worker.child_conn.send(True)
    assert worker.is_alive(FOR_EVER)
    assert not worker.is_alive(timeout=0)
    worker.parent_conn.close()
    worker.child_conn.close()
