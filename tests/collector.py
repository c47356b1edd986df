"""An OTLP collector that keeps what it is sent."""

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.servers import HOST

SECONDS = 60
ERROR = 2  # Status.StatusCode.STATUS_CODE_ERROR


@dataclass(frozen=True)
class Sent:
    """A span as it came."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    events: int
    attributes: dict[str, str | int]
    resource: dict[str, str | int]


@dataclass
class Collector:
    """Args:
    status: what it answers.
    raw: the bodies that came, for what must be nowhere in them.
    """

    port: int
    status: int = 200
    spans: list[Sent] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def receive(self, body: bytes, headers: dict[str, str]) -> None:
        with self._changed:
            self.raw.append(body)
            self.headers.append(headers)
            self.spans += spans_of(body)
            self._changed.notify_all()

    def wait(self, condition: Callable[["Collector"], bool]) -> list[Sent]:
        """Blocks until it holds; the spans so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), SECONDS), self.names
            return list(self.spans)

    def named(self, name: str) -> list[Sent]:
        return [span for span in self.spans if span.name == name]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


def spans_of(body: bytes) -> list[Sent]:
    return [
        Sent(
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.status.code == ERROR,
            len(span.events) + len(span.links) + len(span.status.message),
            _values(span.attributes),
            _values(group.resource.attributes),
        )
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _values(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    return {
        pair.key: pair.value.string_value
        if pair.value.HasField("string_value")
        else pair.value.int_value
        for pair in pairs
    }


@contextmanager
def collecting() -> Generator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces" and collector.status == 200:
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.receive(body, headers)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
