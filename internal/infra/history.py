"""The last quarter of an hour of a process's requests: sampled now and then, nothing a request."""

import asyncio
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from internal.infra.background import resting
from internal.infra.metrics import FAMILIES, Figures

INTERVAL_SECONDS = 10
SAMPLES = 90
HISTORY_SHARED_BY = 8  # processes, at most

_REQUESTS = "http_request_duration_seconds"
_BOUNDS = FAMILIES[_REQUESTS].bounds


@dataclass(slots=True)
class Interval:
    """What ended between two samples. Args: routes: of each its requests and their seconds."""

    seconds: float
    buckets: list[float]
    routes: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return sum(self.buckets) / self.seconds

    def quantile(self, share: float) -> float | None:
        """The upper bound, in seconds, of the bucket that this share of requests was within."""
        total = sum(self.buckets)
        if not total:
            return None
        found = bisect_left(list(accumulate(self.buckets)), share * total)
        return _BOUNDS[min(found, len(_BOUNDS) - 1)]


@dataclass(frozen=True, slots=True)
class RouteTime:
    route: str
    requests: int
    mean_seconds: float


class History:
    """Args: collect: the figures as they are now."""

    def __init__(self, collect: Callable[[], Figures]) -> None:
        self._collect = collect
        self._intervals: deque[Interval] = deque(maxlen=SAMPLES)
        self._seen: dict[tuple[str, ...], list[float]] = {}
        self._is_begun = False
        self._sampled_at = 0.0

    @property
    def intervals(self) -> Sequence[Interval]:
        return tuple(self._intervals)

    async def run(self) -> None:
        while True:
            self.sample()
            with resting():
                await asyncio.sleep(INTERVAL_SECONDS)

    def sample(self) -> None:
        now = time.monotonic()
        interval = Interval(now - self._sampled_at, [0.0] * (len(_BOUNDS) + 1))
        for labels, series in self._collect().families[_REQUESTS].items():
            seen = self._seen.get(labels, [0.0] * len(series.figures))
            # A process that was replaced may have taken a second of its figures with it.
            grown = [max(a - b, 0.0) for a, b in zip(series.figures, seen, strict=True)]
            self._seen[labels] = list(series.figures)
            if any(grown):
                _add(interval, labels, grown)
        if self._is_begun:
            self._intervals.append(interval)
        self._sampled_at, self._is_begun = now, True

    def slowest(self, limit: int) -> list[RouteTime]:
        """The routes whose requests took the longest on average, of all that is remembered."""
        counts: Counter[str] = Counter()
        seconds: dict[str, float] = {}
        for interval in self._intervals:
            for route, (count, spent) in interval.routes.items():
                counts[route] += int(count)
                seconds[route] = seconds.get(route, 0.0) + spent
        times = [RouteTime(name, counts[name], seconds[name] / counts[name]) for name in +counts]
        return sorted(times, key=lambda found: -found.mean_seconds)[:limit]


def _add(interval: Interval, labels: tuple[str, ...], grown: list[float]) -> None:
    method, template, _ = labels
    *buckets, spent = grown
    count = sum(buckets)
    interval.buckets = [a + b for a, b in zip(interval.buckets, buckets, strict=True)]
    before, spent_before = interval.routes.get(f"{method} {template}", (0.0, 0.0))
    interval.routes[f"{method} {template}"] = before + count, spent_before + spent
