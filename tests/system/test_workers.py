"""Several processes behind one socket."""

import re
import secrets
import subprocess
from collections.abc import Generator
from os import kill
from signal import Signals

import pytest
import uvicorn

from internal.server import Worker
from tests import command
from tests.system.serving import Serving

WORKERS = 2
FOR_EVER = 1000
REQUESTS = 40
PASSWORD = "correct horse battery staple"


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


def test_the_operations_page_says_which_process_it_is_of_and_counts_all(service: Serving) -> None:
    username = f"ada-{secrets.token_hex(4)}"  # the database is shared
    create_admin = [command.GROUNDWORK, "users", "create-admin", username]
    subprocess.run(create_admin, env=service.env, input=PASSWORD, text=True, check=True)
    ours = {"Origin": str(service.http.base_url).rstrip("/")}
    form = {"username": username, "password": PASSWORD}
    reply = service.http.post("/ops/login", data=form, headers=ours)
    cookie = reply.headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": cookie, "Connection": "close"}
    for _ in range(REQUESTS):
        assert service.http.get("/v1/auth/me", headers={"Connection": "close"}).status_code == 401

    counted = {}

    def both_count_all() -> bool:
        page = service.http.get("/ops", headers=headers).text
        said = re.search(r"all its processes: (\d+), answered by process (\d+)", page)
        assert said is not None, page
        assert int(said[1]) == WORKERS
        route = re.search(r"GET /v1/auth/me</bdi></td><td>(\d+)<", page)
        counted[int(said[2])] = int(route[1]) if route else 0
        return counted == dict.fromkeys(service.pids(), REQUESTS)

    service.wait_for(both_count_all)


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
