"""What is counted, and what scrapers read of it."""

import math
import os
import shutil
import subprocess
import time

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from internal.infra.metrics import FAMILIES, Figures, Metrics
from internal.infra.metrics_text import exposition, scrape

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
TRACE_ID = "0123456789abcdef0123456789abcdef"
NASTY = 'a"b\\c\nd}{,é\r'


def figures_of(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a parser that is not ours reads: (sample, labels) and its value."""
    text = scrape(metrics, "")[0].decode()
    families = parse_text(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def families_of(text: bytes) -> list[Metric]:
    """Of OpenMetrics."""
    return list(parse_open(text.decode()))  # type: ignore[no-untyped-call]


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


def used_metrics() -> Metrics:
    """With something in every family."""
    metrics = Metrics()
    for family in FAMILIES.values():
        values = [NASTY for _ in family.labels]
        if family.bounds:
            metrics.observe(family.name, 0.3, *values)
        elif family.is_counter:
            metrics.count(family.name, *values)
        elif family.labels:
            metrics.set_all(family.name, {tuple(values): 3})
        else:
            metrics.watch(family.name, lambda: 4)
    metrics.observe_request("GET", "/users/{user_id}", 200, 0.3, TRACE_ID)
    return metrics


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
def test_promtool_has_nothing_to_say(accept: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None and not os.environ.get("REQUIRE_SERVERS"):
        pytest.skip("promtool is not installed")
    assert promtool is not None, "promtool is not installed (Debian: prometheus)"
    for metrics in (Metrics(), used_metrics()):
        text = exposition(metrics.collect(), is_open=False).encode()
        check = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
        if accept:
            assert families_of(scrape(metrics, accept)[0])


def test_every_name_of_the_contract_is_there_before_anything_has_happened() -> None:
    text = scrape(Metrics(), "")[0].decode()
    families = parse_text(text)
    found = {family.name for family in families}
    assert found == {name.removesuffix("_total") for name in FAMILIES}
    assert figures_of(Metrics())["db_pool_wait_seconds_count", labels()] == 0


def test_a_request_is_counted_by_method_template_and_status() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.3, 1000):
        metrics.observe_request("GET", "/users/{user_id}", 200, seconds, TRACE_ID)
    metrics.observe_request("GET", "/users/{user_id}", 404, 0.001, TRACE_ID)
    found = figures_of(metrics)
    ok = {"method": "GET", "route": "/users/{user_id}", "status": "200"}
    bucket = "http_request_duration_seconds_bucket"
    assert found["http_requests_total", labels(**ok)] == 3
    assert found["http_requests_total", labels(**{**ok, "status": "404"})] == 1
    assert found[bucket, labels(**ok, le="0.001")] == 1
    assert found[bucket, labels(**ok, le="0.25")] == 1
    assert found[bucket, labels(**ok, le="0.5")] == 2
    assert found[bucket, labels(**ok, le="30.0")] == 2
    assert found[bucket, labels(**ok, le="+Inf")] == 3
    assert found["http_request_duration_seconds_count", labels(**ok)] == 3
    assert math.isclose(found["http_request_duration_seconds_sum", labels(**ok)], 1000.3004)


def test_a_figure_on_a_bound_is_in_its_bucket() -> None:
    metrics = Metrics()
    metrics.observe("db_pool_wait_seconds", 0.25)
    found = figures_of(metrics)
    assert found["db_pool_wait_seconds_bucket", labels(le="0.1")] == 0
    assert found["db_pool_wait_seconds_bucket", labels(le="0.25")] == 1


def test_unknown_paths_and_methods_are_one_label_value_each() -> None:
    metrics = Metrics()
    before = len(figures_of(metrics))
    for number in range(10_000):
        metrics.observe_request(f"M{number}", None, 404, 0.001, TRACE_ID)
    metrics.observe_request("GET", None, 404, 0.001, TRACE_ID)
    found = figures_of(metrics)
    unmatched = {"route": "unmatched", "status": "404"}
    assert found["http_requests_total", labels(method="other", **unmatched)] == 10_000
    assert found["http_requests_total", labels(method="GET", **unmatched)] == 1
    assert len(found) - before < 50
    assert len(metrics._requests) == 1


@pytest.mark.parametrize("value", [NASTY, "", "\\n", '"', "\\"])
def test_a_label_may_hold_anything(value: str) -> None:
    metrics = Metrics()
    metrics.count("redis_commands_total", value)
    for parse, accept in ((parse_text, ""), (parse_open, OPEN_METRICS)):
        text = scrape(metrics, accept)[0].decode()
        found = [
            sample.labels["command"]
            for family in parse(text)
            for sample in family.samples
            if sample.name == "redis_commands_total"
        ]
        assert found == [value]


def test_openmetrics_has_the_trace_of_a_request_in_every_bucket() -> None:
    metrics = Metrics()
    before = time.time()
    metrics.observe_request("GET", "/a", 200, 0.3, "1" * 32)
    metrics.observe_request("GET", "/a", 200, 0.4, TRACE_ID)
    text, media_type = scrape(metrics, OPEN_METRICS)
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    (exemplar,) = [
        sample.exemplar
        for family in families_of(text)
        for sample in family.samples
        if sample.exemplar
    ]
    assert exemplar.labels == {"trace_id": TRACE_ID}
    assert exemplar.value == 0.4
    assert exemplar.timestamp is not None
    assert before - 1 <= float(exemplar.timestamp) <= time.time() + 1


@pytest.mark.parametrize("newer_is_first", [True, False])
def test_of_several_processes_exemplars_the_newest_is_told(*, newer_is_first: bool) -> None:
    older, newer = Metrics(), Metrics()
    for metrics, trace_id in ((older, "1" * 32), (newer, TRACE_ID)):
        metrics.observe_request("GET", "/a", 200, 0.3, trace_id)
    both = Figures()
    for metrics in (newer, older) if newer_is_first else (older, newer):
        both.add(metrics.snapshot())
    text = exposition(both, is_open=True)
    assert f'# {{trace_id="{TRACE_ID}"}}' in text
    assert "1" * 32 not in text


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "nonsense;;=,"])
def test_whoever_does_not_ask_for_openmetrics_gets_text(accept: str) -> None:
    text, media_type = scrape(used_metrics(), accept)
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"trace_id" not in text
    assert b"EOF" not in text


def test_gauges_are_read_when_somebody_asks() -> None:
    metrics, connections = Metrics(), set[int]()
    metrics.watch("http_connections_open", lambda: len(connections))
    assert figures_of(metrics)["http_connections_open", labels()] == 0
    connections.update((1, 2))
    assert figures_of(metrics)["http_connections_open", labels()] == 2
    assert figures_of(metrics)["process_resident_memory_bytes", labels()] > 1_000_000


def test_what_is_not_told_any_more_is_gone() -> None:
    metrics = Metrics()
    metrics.set_all("job_queue_depth", {("a", "queued"): 3, ("a", "dead"): 1})
    metrics.set_all("job_queue_depth", {("a", "queued"): 2})
    depth = {key: value for key, value in figures_of(metrics).items() if "depth" in key[0]}
    assert depth == {("job_queue_depth", labels(kind="a", state="queued")): 2}


def test_figures_survive_their_storage_whole() -> None:
    figures = used_metrics().collect()
    loaded = Figures.load(figures.dump())
    for is_open in (False, True):
        assert exposition(loaded, is_open=is_open) == exposition(figures, is_open=is_open)
