"""Figures of several processes, whichever of them is scraped."""

from collections.abc import Generator
from contextlib import ExitStack
from os import kill
from pathlib import Path
from signal import Signals

import httpx
import pytest

from tests.servers import HOST, free_port
from tests.system.scraping import figure
from tests.system.serving import SECONDS, Serving

WORKERS = 2
CLOSE = {"Connection": "close"}
ROUTE = "/number/{number}"
REQUESTS = 40
OPEN = 10


@pytest.fixture(scope="module")
def service(
    some_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Serving]:
    folder = tmp_path_factory.mktemp("metrics")
    with Serving(folder, {**some_servers, "WORKERS": WORKERS}, with_routes=True) as service:
        service.wait_for(lambda: len(service.pids()) == WORKERS)
        yield service


def scraped(service: Serving) -> str:
    """By a new connection: whichever process takes it."""
    return service.http.get("/metrics", headers=CLOSE).text


def served(text: str) -> float:
    return figure(text, "http_requests_total", f'route="{ROUTE}"')


def ask(service: Serving, times: int = REQUESTS) -> None:
    for _ in range(times):
        service.http.get("/number/1", headers=CLOSE)


def test_counters_add_up_whoever_answers(service: Serving) -> None:
    before = served(scraped(service))
    ask(service)
    service.wait_for(lambda: all(served(scraped(service)) == before + REQUESTS for _ in range(20)))
    assert figure(scraped(service), "db_pool_size") == 10 * WORKERS
    service.wait_for(lambda: figure(scraped(service), "scheduler_is_leader") == 1)
    service.wait_for(lambda: "\noutbox_lag_seconds{} " in scraped(service))


def test_open_connections_are_told_idle_ones_too(service: Serving) -> None:
    def connections() -> float:
        return figure(scraped(service), "http_connections_open")

    with ExitStack() as stack:
        for _ in range(OPEN):
            stack.enter_context(service.connect())
        service.wait_for(lambda: connections() >= OPEN + 1)  # and the scrape's own
    service.wait_for(lambda: connections() <= OPEN)


def test_totals_do_not_fall_while_workers_are_killed_and_replaced(service: Serving) -> None:
    ask(service)
    service.wait_for(lambda: len({served(scraped(service)) for _ in range(20)}) == 1)
    totals = [served(scraped(service))]
    for _ in range(2):
        before = service.pids()
        kill(min(before), Signals.SIGKILL)

        def is_replaced(gone: int = min(before)) -> bool:
            try:
                totals.append(served(scraped(service)))
                return gone not in (now := service.pids()) and len(now) == WORKERS
            except httpx.TransportError:
                return False  # the connection was the killed one's

        service.wait_for(is_replaced)
    totals.append(served(scraped(service)))
    assert totals[0] >= REQUESTS
    assert totals == sorted(totals)
    service.wait_for(lambda: figure(scraped(service), "db_pool_size") == 10 * WORKERS)


def test_the_folder_is_gone_after_a_stop_and_the_port_of_its_own_answers_until_then(
    some_servers: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    settings = {**some_servers, "WORKERS": WORKERS, "METRICS_PORT": port}
    with Serving(tmp_path, settings, with_routes=True) as service:
        assert service.status("/metrics") == 404
        ask(service)
        url = f"http://{HOST}:{port}/metrics"
        service.wait_for(lambda: served(httpx.get(url, timeout=SECONDS).text) == REQUESTS)
        assert len(list((service.data / "metrics").iterdir())) == 1
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
        assert list((service.data / "metrics").iterdir()) == []
