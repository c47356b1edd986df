"""A scrape, during which the process serves nobody."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from internal.infra.metrics import Metrics
from internal.infra.metrics_sharing import Slot
from internal.infra.metrics_text import scrape
from tests.benchmarks.table import Row

ROUTES = 100
ROUNDS = 20
LIMIT_MS = 10
PROCESSES = (2, 4, 8)
FORMATS = {"text": "", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}


def measure() -> list[Row]:
    return [
        *(_scrape(name, _used(), accept) for name, accept in FORMATS.items()),
        *(_scrape_of_several(processes) for processes in PROCESSES),
    ]


def _used() -> Metrics:
    """With figures and exemplars in most buckets of every route."""
    metrics = Metrics()
    for route in range(ROUTES):
        for bucket in range(30):
            template = f"/v1/things/{{thing_id}}/{route}"
            metrics.observe_request("GET", template, 200, bucket / 100, "0" * 32)
    return metrics


def _scrape(name: str, metrics: Metrics, accept: str = "") -> Row:
    milliseconds = best_of(lambda: scrape(metrics, accept))
    return Row(
        f"a scrape of {ROUTES} routes, {name}",
        f"{milliseconds:.1f} ms",
        goal=f"below {LIMIT_MS} ms",
    )


def _scrape_of_several(processes: int) -> Row:
    """Each has left its figures; the one that is asked reads those of the others."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for _ in range(processes):
            metrics, slot = _used(), Slot(Path(folder))
            stack.callback(slot.close)
            slot.store(metrics.snapshot())
            metrics.peers = slot
        return _scrape(f"text, {processes} processes", metrics)


def best_of(work: Callable[[], object]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1000
