"""Figures as scrapers read them: Prometheus text 0.0.4, or OpenMetrics 1.0 with exemplars.

By hand, because prometheus-client takes 17 and 45 ms for a hundred routes, in which the process
serves nobody; this takes 2. The tests read it with prometheus-client's parsers and promtool.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from internal.infra.metrics import FAMILIES, Family, Figures, Labels, Metrics, Series

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def scrape(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """What a scraper gets, and its media type: OpenMetrics if it accepts that.

    Of all processes that serve together.
    """
    is_open = "application/openmetrics-text" in accept
    text = exposition(metrics.collect(), is_open=is_open)
    return text.encode(), _OPEN_METRICS if is_open else _TEXT


def exposition(figures: Figures, *, is_open: bool) -> str:
    lines: list[str] = []
    for family in FAMILIES.values():
        name = family.name.removesuffix("_total") if is_open else family.name
        lines += (f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}")
        series = figures.families[family.name]
        if family.bounds:
            for labels, one in series.items():
                lines += _histogram(family, _pairs(family, labels), one, is_open=is_open)
        else:
            values = _requests(figures) if family.name == "http_requests_total" else _first(series)
            for labels, value in values:
                lines.append(f"{family.name}{{{_pairs(family, labels)}}} {value}")
    return "\n".join([*lines, "# EOF\n" if is_open else ""])


def _histogram(family: Family, pairs: str, series: Series, *, is_open: bool) -> Iterator[str]:
    *buckets, total = series.figures
    start = f"{family.name}_bucket{{{pairs}{',' if pairs else ''}le="
    counts = list(accumulate(buckets))
    exemplars = series.exemplars if is_open else {}
    for index, (bound, count) in enumerate(zip((*family.bounds, "+Inf"), counts, strict=True)):
        line = f'{start}"{bound}"}} {count}'
        if index in exemplars:
            trace_id, seconds, at = exemplars[index]
            line = f'{line} # {{trace_id="{trace_id}"}} {seconds} {at:.3f}'
        yield line
    yield f"{family.name}_count{{{pairs}}} {counts[-1]}"
    yield f"{family.name}_sum{{{pairs}}} {total}"


def _requests(figures: Figures) -> Iterator[tuple[Labels, float]]:
    """What the histogram has counted is not counted again."""
    durations = figures.families["http_request_duration_seconds"]
    return ((labels, sum(series.figures[:-1])) for labels, series in durations.items())


def _first(series: Mapping[Labels, Series]) -> Iterator[tuple[Labels, float]]:
    return ((labels, one.figures[0]) for labels, one in series.items())


def _pairs(family: Family, labels: Labels) -> str:
    named = zip(family.labels, labels, strict=True)
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in named)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
