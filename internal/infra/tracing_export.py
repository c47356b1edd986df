"""Spans to a collector: OTLP over HTTP, in batches, from a thread of their own.

Needs the extra `otel`. What the SDK reads from the environment it reads here, too:
OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS and the like.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from loguru import logger
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Tracer

from internal.core.context import current_trace_id, new_trace_id
from internal.core.errors import StartError
from internal.infra.build import build_info
from internal.infra.outage import Outage
from internal.infra.tracing import next_span_id

# How long a stop waits for the last batches: with a collector that is away, they are lost.
CLOSE_SECONDS = 2.0

# They tell of every batch, and of headers with what these hold; what is to be known is told below.
_SILENCED = (
    "opentelemetry.exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.util.re",
    "urllib3",
)

_log = logger.bind(logger="tracing")


@asynccontextmanager
async def open_tracer(
    endpoint: str, process: str
) -> AsyncGenerator[tuple[Tracer, Callable[[int, str], bool]]]:
    """A tracer of this process, and whether it records a trace that begins with this id and name.

    Raises:
        StartError: an OTEL_ variable is no good.
    """
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        exporter = Exporter(endpoint)
        provider = TracerProvider(
            resource=_resource(process), id_generator=Ids(), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except (ValueError, OSError) as error:
        # The text may hold the endpoint.
        raise StartError(
            f"traces: {type(error).__name__}; check the variables OTEL_BSP_* and OTEL_EXPORTER_*"
        ) from None

    def is_sampled(trace_id: int, name: str) -> bool:
        decision = provider.sampler.should_sample(Context(), trace_id, name).decision
        return decision is Decision.RECORD_AND_SAMPLE

    try:
        yield provider.get_tracer("groundwork", build_info().version), is_sampled
    finally:
        await _close(provider, exporter)


async def _close(provider: TracerProvider, exporter: SpanExporter) -> None:
    """Sends what waits, for two seconds at most. The SDK's own patience is half a minute."""
    closing = threading.Thread(target=provider.shutdown, name="close-tracing", daemon=True)
    closing.start()
    await asyncio.to_thread(closing.join, CLOSE_SECONDS)
    if closing.is_alive():
        exporter.shutdown()  # gives up waiting for another try


def _resource(process: str) -> Resource:
    """Who we are; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES know better."""
    ours = Resource.create(
        {
            "service.name": "groundwork",
            "service.version": build_info().version,
            "groundwork.process": process,
        }
    )
    return ours.merge(OTELResourceDetector().detect())


class Ids(IdGenerator):
    """A trace's id is the service's own, so that traces, lines of log and replies meet."""

    def generate_trace_id(self) -> int:
        # Zeros alone are no id (W3C Trace Context §3.2), and earlier releases took them for one.
        return int(current_trace_id() or "0", 16) or int(new_trace_id(), 16)

    def generate_span_id(self) -> int:
        return next_span_id()


class Exporter(SpanExporter):
    """Sends batches and says once that they are not taken, and once that they are again."""

    def __init__(self, endpoint: str) -> None:
        self._sender = OTLPSpanExporter(f"{endpoint.removesuffix('/')}/v1/traces")
        # Of the endpoint, what is no secret.
        parts = urlsplit(endpoint)
        self._where = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
        self._outage = Outage(_log, "traces are taken again")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._sender.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.end()
        else:
            self._outage.begin(
                f"the collector at {self._where} does not take traces; they are dropped meanwhile"
            )
        return result

    def shutdown(self) -> None:
        self._sender.shutdown()  # type: ignore[no-untyped-call] # the SDK's own
