"""What is counted. Contract §8; every name is in `FAMILIES`.

Figures are plain lists that are added to in place by one thread, that of the process's event loop:
prometheus-client's have a lock each, and adding up those of several processes is a choice of the
environment there, made at its import.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

type Labels = tuple[str, ...]
type Exemplar = tuple[str, float, float]  # trace id, seconds, Unix time

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # the route of paths that are none of ours
OTHER = "other"  # any label value that nobody foresaw

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_LONG = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)


@dataclass(frozen=True, slots=True)
class Family:
    """Args: bounds: upper ones of a histogram's buckets, in seconds; without: not a histogram."""

    name: str
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()

    @property
    def is_counter(self) -> bool:
        return self.name.endswith("_total")

    @property
    def is_gauge(self) -> bool:
        return not self.is_counter and not self.bounds

    @property
    def type(self) -> str:
        return "histogram" if self.bounds else "counter" if self.is_counter else "gauge"

    @property
    def size(self) -> int:
        """Of a series: one figure, or a histogram's buckets, +Inf, and the sum."""
        return len(self.bounds) + 2 if self.bounds else 1


_HTTP = ("method", "route", "status")
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("http_requests_total", "Requests that have ended.", _HTTP),
        Family("http_request_duration_seconds", "From headers to end of reply.", _HTTP, _QUICK),
        Family("http_requests_in_flight", "Requests that are being served."),
        Family("http_connections_open", "Connections of clients."),
        Family("process_resident_memory_bytes", "Memory of the processes that serve together."),
        Family("db_pool_size", "Connections that the pools keep at most."),
        Family("db_pool_checked_out", "Connections in use."),
        Family("db_pool_overflow", "Connections beyond the pools' size."),
        Family("db_pool_wait_seconds", "From asking for a connection to a live one.", (), _QUICK),
        Family("redis_commands_total", "Commands sent to Redis.", ("command",)),
        Family("cache_hits_total", "Values found in a cache.", ("cache",)),
        Family("cache_misses_total", "Values looked for in a cache in vain.", ("cache",)),
        Family("log_lines_dropped_total", "Log lines that stdout did not take."),
        Family("jobs_total", "Attempts at jobs, by what became of the job.", ("kind", "state")),
        Family("job_duration_seconds", "Of an attempt at a job.", ("kind", "state"), _LONG),
        Family("job_queue_depth", "Jobs not done with; the leader tells.", ("kind", "state")),
        Family("outbox_lag_seconds", "Age of the oldest job due and not handed over."),
        Family("scheduler_is_leader", "Whether the scheduler of this service leads."),
    )
}


class Series:
    """The figures of one set of label values; of a histogram: its buckets, +Inf, and the sum."""

    __slots__ = ("exemplars", "figures")

    def __init__(self, size: int) -> None:
        self.figures: list[float] = [0] * size
        self.exemplars: dict[int, Exemplar] = {}

    def keep_newer(self, exemplars: Mapping[int, Exemplar]) -> None:
        """Prometheus refuses one that is older than what it has."""
        for bucket, exemplar in exemplars.items():
            held = self.exemplars.get(bucket)
            if held is None or held[2] < exemplar[2]:
                self.exemplars[bucket] = exemplar


class Figures:
    """Series by family and labels. Those of several processes add up."""

    def __init__(self) -> None:
        self.families: dict[str, dict[Labels, Series]] = {name: {} for name in FAMILIES}

    def series(self, name: str, labels: Labels) -> Series:
        family = self.families[name]
        found = family.get(labels)
        if found is None:
            found = family[labels] = Series(FAMILIES[name].size)
        return found

    def add(self, other: "Figures", *, gauges: bool = True) -> None:
        """Adds another's figures; without its gauges where it is not alive any more."""
        for name, family in other.families.items():
            if FAMILIES[name].is_gauge and not gauges:
                continue
            for labels, series in family.items():
                mine = self.series(name, labels)
                mine.figures[:] = map(sum, zip(mine.figures, series.figures, strict=True))
                mine.keep_newer(series.exemplars)

    def dump(self) -> list[Any]:
        """As JSON can hold it."""
        return [
            [name, labels, series.figures, list(series.exemplars.items())]
            for name, family in self.families.items()
            for labels, series in family.items()
        ]

    @classmethod
    def load(cls, dumped: list[Any]) -> "Figures":
        figures = cls()
        for name, labels, values, exemplars in dumped:
            series = figures.series(name, tuple(labels))
            series.figures[:] = values
            series.exemplars.update((bucket, tuple(exemplar)) for bucket, exemplar in exemplars)
        return figures


class Peers(Protocol):
    """The processes that serve together, whichever of them is scraped."""

    def exchange(self, own: Figures) -> Figures:
        """Leaves one's own figures for the others; returns those of all."""


class Metrics:
    """What a process counts, and what it can tell at any time."""

    def __init__(self) -> None:
        self._figures = Figures()
        for family in FAMILIES.values():
            if not family.labels and not family.is_gauge:
                self._figures.series(family.name, ())  # zero is known before the first of them
        self._gauges: dict[str, Callable[[], float]] = {
            "http_requests_in_flight": lambda: self.in_flight,
            "process_resident_memory_bytes": _resident_memory,
        }
        # Looked up by what a request has; holds known methods and templates only.
        self._requests: dict[tuple[str, str | None, int], Series] = {}
        self.in_flight = 0
        self.peers: Peers | None = None

    def count(self, name: str, *labels: str) -> None:
        self._figures.series(name, labels).figures[0] += 1

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        figures = self._figures.series(name, labels).figures
        figures[bisect_left(FAMILIES[name].bounds, seconds)] += 1
        figures[-1] += seconds

    def observe_request(
        self, method: str, template: str | None, status: int, seconds: float, trace_id: str
    ) -> None:
        """Counts a request that has ended. Two dictionaries and a bisection: it is on every one."""
        series = self._requests.get((method, template, status))
        if series is None:
            series = self._add_request(method, template, status)
        bucket = bisect_left(_QUICK, seconds)
        series.figures[bucket] += 1
        series.figures[-1] += seconds
        series.exemplars[bucket] = (trace_id, seconds, time.time())

    def _add_request(self, method: str, template: str | None, status: int) -> Series:
        known = method if method in METHODS else OTHER
        labels = (known, UNMATCHED if template is None else template, str(status))
        series = self._figures.series("http_request_duration_seconds", labels)
        if method == known:
            self._requests[method, template, status] = series
        return series

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Has a gauge read whenever somebody asks."""
        self._gauges[name] = read

    def set_all(self, name: str, values: Mapping[Labels, float]) -> None:
        """Sets a gauge's series, and drops those that are not there any more."""
        self._figures.families[name].clear()
        for labels, value in values.items():
            self._figures.series(name, labels).figures[0] = value

    def inherit(self, figures: Figures) -> None:
        """Goes on counting where a process that is gone has stopped."""
        self._figures.add(figures, gauges=False)

    def snapshot(self) -> Figures:
        """The figures as they are now; not to be added to."""
        for name, read in self._gauges.items():
            self._figures.series(name, ()).figures[0] = read()
        return self._figures

    def collect(self) -> Figures:
        """Those of all processes that serve together; not to be added to."""
        own = self.snapshot()
        return self.peers.exchange(own) if self.peers is not None else own


def _resident_memory() -> float:
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        return 0  # not on Linux
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
