"""What ours writes is what uvicorn would have written, to the byte; whatever it is told to say."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from internal.infra.reply_head import Header, ReplyHead

CONSTANT = ((b"x-frame-options", b"DENY"), (b"cache-control", b"no-store"))
LENGTH = (b"content-length", b"2")


class Wire:
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.write = self.written.append
        self.is_closed = False
        self.write_paused = False

    def close(self) -> None:
        self.is_closed = True


def cycle_on(wire: Any, **scope: str) -> RequestResponseCycle:
    log = logging.getLogger("test")
    return RequestResponseCycle(
        scope={"method": "GET", **scope},  # type: ignore[typeddict-item]
        transport=wire,
        flow=wire,
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"date", b"Sat, 28 Nov 2026 10:00:00 GMT")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )


def outcome(
    send_of: Callable[[RequestResponseCycle], Any],
    headers: list[Header],
    status: int,
    method: str,
    body: bytes,
) -> tuple[object, ...]:
    """What is on the wire in the end, what uvicorn remembers, and what was raised."""
    wire = Wire()
    cycle = cycle_on(wire, method=method)
    send = send_of(cycle)

    async def reply() -> str:
        try:
            start: Any = {"type": "http.response.start", "status": status, "headers": headers}
            await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": False})
        except RuntimeError as error:
            return str(error)
        return ""

    raised = asyncio.run(reply())
    return (
        b"".join(wire.written),
        wire.is_closed,
        cycle.response_started,
        cycle.response_complete,
        cycle.keep_alive,
        raised,
    )


def assert_same(
    headers: list[Header], status: int = 200, method: str = "GET", body: bytes = b"{}"
) -> None:
    ours = outcome(ReplyHead(CONSTANT).send, headers, status, method, body)
    assert ours == outcome(lambda cycle: cycle.send, headers, status, method, body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 431, 500])
@pytest.mark.parametrize(
    "headers",
    [
        [LENGTH],
        [*CONSTANT, LENGTH],
        [],
        [(b"Content-Length", b"2"), (b"X-Mixed-Case", b"1")],
        [LENGTH, (b"connection", b"close")],
        [LENGTH, (b"connection", b"keep-alive, Close")],
        [(b"transfer-encoding", b"chunked")],
        [LENGTH, (b"transfer-encoding", b"chunked")],
        [LENGTH, LENGTH],
        [(b"content-length", b"1")],
        [(b"content-length", b"3")],
        [LENGTH, (b"x-odd", b"a\tb\xff")],
        [LENGTH, (b"x-split", b"a\r\nset-cookie: b")],
        [LENGTH, (b"x-split\r\nset-cookie", b"b")],
        [LENGTH, (b"x nul", b"\x00")],
        [LENGTH, (b"", b"")],
    ],
)
def test_a_reply_is_what_uvicorn_would_have_written(
    headers: list[Header], status: int, method: str
) -> None:
    assert_same(headers, status, method)


names = st.binary(max_size=6) | st.sampled_from([b"content-length", b"connection", b"x-a"])
values = st.binary(max_size=6) | st.sampled_from([b"2", b"close"])


@given(st.lists(st.tuples(names, values).filter(lambda h: h[0].lower() != b"content-length")))
def test_no_header_that_a_route_makes_up_is_written_differently(headers: list[Header]) -> None:
    assert_same([LENGTH, *headers])


@pytest.mark.parametrize("length", [b"-1", b"+2", b" 2", b"2 ", b"", b"two", b"\xb2", b"0002"])
def test_a_length_that_is_none_is_left_to_uvicorn(length: bytes) -> None:
    def try_it(send_of: Callable[[RequestResponseCycle], Any]) -> tuple[object, ...]:
        try:
            return outcome(send_of, [(b"content-length", length)], 200, "GET", b"{}")
        except ValueError as error:
            return (str(error),)

    assert try_it(ReplyHead(CONSTANT).send) == try_it(lambda cycle: cycle.send)


def test_a_client_that_has_gone_gets_nothing() -> None:
    def leave(cycle: RequestResponseCycle) -> object:
        cycle.disconnected = True
        return ReplyHead(CONSTANT).send(cycle)

    assert outcome(leave, [LENGTH], 200, "GET", b"{}")[0] == b""


def test_headers_that_are_constant_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("internal.infra.reply_head._VALUE", None)  # any look would raise
    head = ReplyHead([*CONSTANT, (b"date", b"Sat, 28 Nov 2026 10:00:00 GMT")])
    written = outcome(head.send, [*CONSTANT, LENGTH], 200, "GET", b"{}")[0]
    assert isinstance(written, bytes)
    assert b"x-frame-options: DENY\r\ncache-control: no-store\r\n" in written
