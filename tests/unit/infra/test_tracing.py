"""The tracer of a process: whose ids its spans have, what it keeps, and how it ends."""

import asyncio
import socket
from collections.abc import Generator

import pytest
from opentelemetry.trace import SpanKind, Tracer

from internal.core.context import current_trace_id, set_trace_id
from internal.core.errors import StartError
from internal.infra.tracing import OFF, Tracing, begin, submitted, traceparent, within
from internal.infra.tracing_export import open_tracer
from tests.collector import collecting
from tests.servers import HOST, free_port

pytestmark = pytest.mark.anyio

TRACE_ID = "ab" * 16
# The SDK's own patience is 30 s, and that of a request below ten minutes.
SOON = 20


@pytest.fixture
def silent() -> Generator[str]:
    """A collector that takes connections and answers nothing."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def trace() -> Generator[None]:
    set_trace_id(TRACE_ID)
    yield
    set_trace_id("")


def queue_of(tracer: Tracer) -> int:
    processor = tracer.span_processor._span_processors[0]  # type: ignore[attr-defined]
    length: int = len(processor._batch_processor._queue)
    return length


async def test_a_stop_does_not_wait_for_a_collector_that_does_not_answer(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    async with asyncio.timeout(SOON):
        async with open_tracer(silent, "api") as (tracer, _):
            tracer.start_span("one").end()


async def test_what_waits_for_a_collector_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    async with open_tracer(f"http://{HOST}:{free_port()}", "api") as (tracer, _):
        for _ in range(5_000):
            tracer.start_span("one").end()
        assert 0 < queue_of(tracer) <= 100


async def test_what_waits_is_sent_at_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    with collecting() as collector:
        async with open_tracer(f"{collector.endpoint}/", "api") as (tracer, is_sampled):
            with Tracing(tracer, is_sampled).request("GET", None):
                pass
        assert collector.names == ["GET"]


@pytest.mark.parametrize("name", ["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_SCHEDULE_DELAY"])
async def test_a_variable_that_is_no_good_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0")
    with pytest.raises(StartError, match=r"check the variables OTEL_BSP_\*") as refused:
        async with open_tracer("http://user:canary@collector", "api"):
            raise AssertionError
    assert "canary" not in str(refused.value)


async def test_names_of_the_environment_win_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "billing")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=blue")
    with collecting() as collector:
        async with open_tracer(collector.endpoint, "worker") as (tracer, _):
            tracer.start_span("one").end()
        (span,) = collector.spans
    expected = {"service.name": "billing", "deployment.environment.name": "blue"}
    assert expected.items() <= span.resource.items()


async def test_an_sdk_that_is_disabled_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with collecting() as collector:
        async with open_tracer(collector.endpoint, "api") as (tracer, is_sampled):
            tracing = Tracing(tracer, is_sampled)
            with tracing.request("GET", None), tracing.job("a.kind", 1, 1):
                assert begin("SELECT", SpanKind.CLIENT, {}) is None
        assert collector.spans == []


def test_without_a_tracer_nothing_is_recorded_and_a_traceparent_is_not_sampled() -> None:
    with OFF.request("GET", None) as request, OFF.job("a.kind", 1, 1) as job, OFF.tick("a") as tick:
        submitted("a.kind", 1)
        with within("POST", SpanKind.CLIENT, {}) as span:
            assert not any(each.is_recording() for each in (request, job, tick, span))
            version, trace_id, span_id, flags = traceparent().split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "00")
    assert int(span_id, 16)
    assert current_trace_id() == TRACE_ID
