"""uvicorn's HTTP/1.1 protocol with bounds on what comes before the body, which it has none of."""

import asyncio
from typing import Any

from loguru import logger
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from internal.core.context import new_trace_id
from internal.core.envelope import error_body
from internal.core.errors import BadRequest, HeadersTooLarge, ServiceError, SlowClient, Text

MAX_HEADER_BYTES = 64 * 1024

_log = logger.bind(logger="http")


class MalformedRequest(BadRequest):
    message = Text("not a valid HTTP request", "不是有效的 HTTP 请求")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Request line and headers must arrive whole, in time, and in `MAX_HEADER_BYTES`.

    What is refused here has not reached the application: the reply is made by hand, in the
    envelope, in English, and closes the connection.

    Args:
        header_timeout: seconds from the first wait for a request to the end of its headers.
    """

    def __init__(self, header_timeout: float, **uvicorn_arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**uvicorn_arguments)
        self._header_timeout = header_timeout
        self._header_timer: asyncio.TimerHandle | None = None
        self._in_headers = True
        self._pending = 0  # bytes of headers that are not complete yet
        self._received = 0  # bytes in the parser's hands just now
        self._refusal: ServiceError = MalformedRequest()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_headers = self._in_headers
        self._received = len(data)
        super().data_received(data)
        if not self._in_headers or self.transport.is_closing():
            return
        # The parser keeps an unfinished header to itself, however long it grows.
        self._pending += len(data) if was_in_headers else 0
        if self._pending > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge())
        elif self._header_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        most = self._pending + self._received
        self._in_headers = False
        self._pending = 0
        self._stop_timer()
        if most > MAX_HEADER_BYTES and self._header_size() > MAX_HEADER_BYTES:
            self._refusal = HeadersTooLarge()
            raise ValueError("headers too large")  # ends the parsing: send_400_response is next
        super().on_headers_complete()

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        """Where uvicorn ends up with a request that cannot be parsed."""
        del msg
        self._refuse(self._refusal)

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(self._header_timeout, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_timeout(self) -> None:
        if self._in_headers and not self.transport.is_closing():
            self._refuse(SlowClient())

    def _refuse(self, error: ServiceError) -> None:
        trace_id = new_trace_id()
        body = error_body(error, "en", trace_id)
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-trace-id: {trace_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[error.status] + head.encode() + body)
        self.transport.close()
        client = self.client[0] if self.client else ""
        _log.bind(status=error.status, client=client).warning("refused: {}", error)
