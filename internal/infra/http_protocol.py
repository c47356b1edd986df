"""uvicorn's HTTP/1.1 protocol with bounds on what a client may make us wait for and keep."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from loguru import logger
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from internal.core.context import new_trace_id
from internal.core.envelope import error_body
from internal.core.errors import BadRequest, HeadersTooLarge, ServiceError, SlowClient, Text

MAX_HEADER_BYTES = 64 * 1024

_log = logger.bind(logger="http")


class MalformedRequest(BadRequest):
    message = Text("not a valid HTTP request", "不是有效的 HTTP 请求")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Request line, headers and trailers must arrive whole, in time, and in `MAX_HEADER_BYTES`.

    What is refused here has not reached the application: the reply is made by hand, in the
    envelope, in English, and closes the connection.

    Args:
        timeout: seconds from the first wait for a request to the end of its headers, and from the
            reply to the end of a body that nobody has asked for.
        reply_headers: what the replies made here carry besides their own headers.
        count_refused: is told the application, and the status and trace id of such a reply.
    """

    def __init__(
        self,
        timeout: float,
        reply_headers: Iterable[tuple[bytes, bytes]],
        count_refused: Callable[[Any, int, str], None],
        **uvicorn_arguments: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**uvicorn_arguments)
        self._timeout = timeout
        self._reply_headers = reply_headers
        self._count_refused = count_refused
        self._timer: asyncio.TimerHandle | None = None
        self._in_headers = True
        self._pending = 0  # bytes since the parser last came to the end of something
        self._refusal: ServiceError = MalformedRequest()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._pending += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        # The parser keeps an unfinished header or trailer to itself, however long it grows.
        if self._pending > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge())
        elif self._timer is None and (self._in_headers or not self._is_replying()):
            # uvicorn has just stopped its keep-alive timer, and may never start another.
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # else a trailer: nobody reads them, and there may be many
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size, self._pending = self._pending, 0
        self._in_headers = False
        self._stop_timer()
        if size > MAX_HEADER_BYTES and self._header_size() > MAX_HEADER_BYTES:
            self._refusal = HeadersTooLarge()
            raise ValueError("headers too large")  # ends the parsing: send_400_response is next
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._pending = 0
        super().on_message_complete()

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _is_replying(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's type leaves the None out
        return cycle is not None and not cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Where uvicorn ends up with a request that cannot be parsed."""
        del msg
        self._refuse(self._refusal)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._timeout, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._is_replying():
            self._start_timer()  # the start of a pipelined request, whose turn has not come
        elif self._in_headers:
            self._refuse(SlowClient())
        else:
            self.transport.close()

    def _refuse(self, error: ServiceError) -> None:
        trace_id = new_trace_id()
        if self._may_answer():
            self.transport.write(self._reply(error, trace_id))
            self._count_refused(self.app, error.status, trace_id)
        self.transport.close()
        client = self.client[0] if self.client else ""
        _log.bind(trace_id=trace_id, status=error.status, client=client).warning(
            "refused: {}", error
        )

    def _may_answer(self) -> bool:
        """Whether a reply written now would be the one to the request that is refused.

        Not in the middle of another reply, nor before the reply to an earlier, pipelined request.
        """
        if not self._is_replying():
            return True
        return not (self._in_headers or self.cycle.response_started or self.pipeline)

    def _reply(self, error: ServiceError, trace_id: str) -> bytes:
        body = error_body(error, "en", trace_id)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *self._reply_headers,
            (b"x-trace-id", trace_id.encode()),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return STATUS_LINE[error.status] + lines + b"\r\n" + body
