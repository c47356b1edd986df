"""A scrape, during which the process serves nobody."""

import time
from collections.abc import Callable

from internal.infra.metrics import Metrics
from internal.infra.metrics_text import scrape
from tests.benchmarks.table import Row

ROUTES = 100
ROUNDS = 20
LIMIT_MS = 10
FORMATS = {"text": "", "OpenMetrics": "application/openmetrics-text;version=1.0.0"}


def measure() -> list[Row]:
    metrics = Metrics()
    for route in range(ROUTES):
        for bucket in range(30):
            template = f"/v1/things/{{thing_id}}/{route}"
            metrics.observe_request("GET", template, 200, bucket / 100, "0" * 32)
    return [
        Row(
            f"a scrape of {ROUTES} routes, {name}",
            f"{best_of(lambda accept=accept: scrape(metrics, accept)):.1f} ms",  # type: ignore[misc]
            goal=f"below {LIMIT_MS} ms",
        )
        for name, accept in FORMATS.items()
    ]


def best_of(work: Callable[[], object]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1000
