"""Spans: of requests, jobs and ticks, and of what is done within one of these.

Made with OpenTelemetry's API, which FastAPI brings. Its SDK, in the extra `otel`, is imported where
traces are on, by `tracing_export.py`. Nothing here is patched or global: a span begins where it is
said to, on the tracer of the process, and holds nothing but names, statuses and types of errors.
"""

import random
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.context import RemoteParent, current_trace_id, new_trace_id, set_trace_id

# The tracer of the request, job or tick at hand: two applications may live in one process.
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
_next_span_id: ContextVar[int] = ContextVar("next_span_id", default=0)


@dataclass(frozen=True)
class Tracing:
    """Where traces of a process begin, or go on from another. Without a tracer, nothing happens.

    Args:
        is_sampled: whether a trace that begins here is recorded, by its id and a name.
    """

    tracer: Tracer | None = None
    is_sampled: Callable[[int, str], bool] = lambda _trace_id, _name: False

    def watch(self, database: AsyncEngine, redis: Redis) -> None:
        """Statements and commands become spans, within those that begin here."""
        if self.tracer is not None:
            from internal.infra.tracing_calls import (  # noqa: PLC0415 - see open_tracing
                trace_commands,
                trace_statements,
            )

            trace_statements(database.sync_engine)
            trace_commands(redis)

    @contextmanager
    def request(self, method: str, parent: RemoteParent | None) -> Generator[Span]:
        """A request to us, under the trace id at hand; a parent of another trace is none."""
        remote = None
        if parent is not None and parent.trace_id == current_trace_id():
            remote = _remote(parent.trace_id, int(parent.span_id, 16), is_sampled=parent.is_sampled)
        with self._entry(method, SpanKind.SERVER, remote, {"http.request.method": method}) as span:
            yield span

    @contextmanager
    def job(self, kind: str, job_id: int, attempt: int) -> Generator[Span]:
        """An attempt at a job, under the trace id at hand; see `submitted` for its parent.

        Whether the job is recorded is asked anew, of what decides for traces that begin here: the
        row of a job knows its trace and not what was decided for it.
        """
        name = f"job {kind}"
        remote = None
        if self.tracer is not None and current_trace_id():
            is_sampled = self.is_sampled(int(current_trace_id(), 16), name)
            remote = _remote(current_trace_id(), job_id, is_sampled=is_sampled)
        attributes: dict[str, str | int] = {"job.kind": kind, "job.attempt": attempt}
        with self._entry(name, SpanKind.CONSUMER, remote, attributes) as span:
            yield span

    @contextmanager
    def tick(self, name: str) -> Generator[Span]:
        """A run of a periodic job: a trace of its own."""
        if self.tracer is not None:
            set_trace_id(new_trace_id())
        with self._entry(f"tick {name}", SpanKind.INTERNAL, None, {}) as span:
            yield span

    @contextmanager
    def _entry(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: dict[str, str | int],
    ) -> Generator[Span]:
        if self.tracer is None:
            yield INVALID_SPAN
            return
        context = set_span_in_context(NonRecordingSpan(parent)) if parent else Context()
        token = _tracer.set(self.tracer)
        try:
            with _current(self.tracer.start_span(name, context, kind, attributes)) as span:
                yield span
        finally:
            _tracer.reset(token)


OFF = Tracing()


@asynccontextmanager
async def open_tracing(settings: Settings, process: str) -> AsyncGenerator[Tracing]:
    """Raises StartError.

    Args:
        process: what kind of process this is: api, worker or scheduler.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        yield OFF
        return
    # An extra, and slow to import.
    from internal.infra.tracing_export import open_tracer  # noqa: PLC0415

    endpoint = settings.otel_exporter_otlp_endpoint.get_secret_value()
    async with open_tracer(endpoint, process) as (tracer, is_sampled):
        yield Tracing(tracer, is_sampled)


def begin(name: str, kind: SpanKind, attributes: dict[str, str]) -> Span | None:
    """A span within the one at hand, for its beginner to end; None where nothing is recorded."""
    tracer = _tracer.get()
    if tracer is None or not get_current_span().is_recording():
        return None
    return tracer.start_span(name, kind=kind, attributes=attributes)


@contextmanager
def within(name: str, kind: SpanKind, attributes: dict[str, str]) -> Generator[Span]:
    """A span within the one at hand, around the block."""
    span = begin(name, kind, attributes)
    if span is None:
        yield INVALID_SPAN
        return
    with _current(span):
        yield span


def submitted(kind: str, job_id: int) -> None:
    """Leaves a span for the job's attempts to be children of, wherever they are executed.

    Its id is the job's: so nothing has to be carried, and it is of one job alone.
    """
    token = _next_span_id.set(job_id)
    try:
        span = begin(f"submit {kind}", SpanKind.PRODUCER, {"job.kind": kind})
    finally:
        _next_span_id.reset(token)
    if span is not None:
        span.end()


def failed(span: Span, error: BaseException | str) -> None:
    """Marks a span with the type of an error; its text may hold anything."""
    span.set_attribute("error.type", error if isinstance(error, str) else type(error).__name__)
    span.set_status(StatusCode.ERROR)


def current_failed(error: BaseException) -> None:
    """The same, of the span at hand."""
    failed(get_current_span(), error)


def traceparent() -> str:
    """W3C Trace Context §3.2 of the work at hand; outside of any span: not sampled."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        sampled = context.trace_flags & TraceFlags.SAMPLED
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"
    return f"00-{current_trace_id()}-{new_span_id():016x}-00"


def next_span_id() -> int:
    """The id that the next span is to have, or a new one."""
    return _next_span_id.get() or new_span_id()


def new_span_id() -> int:
    return random.getrandbits(64) or 1


def _remote(trace_id: str, span_id: int, *, is_sampled: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace_id, 16), span_id, is_remote=True, trace_flags=flags)


@contextmanager
def _current(span: Span) -> Generator[Span]:
    """The block is within the span, which ends with it and learns of an error its type alone."""
    with use_span(span, True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            failed(span, error)
            raise
