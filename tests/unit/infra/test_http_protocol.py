"""Bounds on what a client may make us wait for and keep, over real sockets, with an app of ours.

What is refused ends where the bound does: bytes behind that, unread when the server closes, could
make the client's system throw the reply away.
"""

import asyncio
import functools
import gc
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from internal.infra.http_protocol import MAX_HEADER_BYTES, BoundedHttpProtocol
from tests.unit.infra.log import Log

pytestmark = pytest.mark.anyio

SHORT = 0.2  # seconds: what a client of these tests is given, and waits for
LONG = 30.0
GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"


class App:
    """Answers with the size of what it read; `/hurry` reads no body, `/wait` takes its time."""

    def __init__(self) -> None:
        self.has_read = asyncio.Event()
        self.refused: list[tuple[int, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        if scope["path"] == "/body":
            more = True
            while more:
                message = await receive()
                self.has_read.set()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
        if scope["path"] == "/wait":
            await asyncio.sleep(SHORT * 2)
        body = json.dumps({"size": size, "headers": len(scope["headers"])}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/half":
            await asyncio.sleep(SHORT * 2)
        await send({"type": "http.response.body", "body": body})


@dataclass
class Client:
    app: App
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> tuple[int, dict[bytes, bytes], Any]:
        async with asyncio.timeout(LONG):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers[b"content-length"]))
        return int(status.split()[1]), headers, json.loads(body)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(LONG):
            try:
                return await self.reader.read()
            except ConnectionError:  # closed with bytes of ours unread
                return b""

    async def expect_refusal(self, status: int, code: int, message: str) -> str:
        """Checks the whole reply and that the connection ends; returns its trace id."""
        got, headers, body = await self.reply()
        assert (got, body["code"], body["message"]) == (status, code, message)
        assert body["data"] is None
        assert headers[b"content-type"] == b"application/json"
        assert headers[b"connection"] == b"close"
        assert headers[b"x-frame-options"] == b"DENY"
        assert headers[b"x-trace-id"].decode() == body["trace_id"]
        assert self.app.refused == [(status, body["trace_id"])]
        assert re.fullmatch("[0-9a-f]{32}", body["trace_id"])
        assert await self.rest() == b""
        return str(body["trace_id"])


@asynccontextmanager
async def connected(seconds: float = LONG) -> AsyncGenerator[Client]:
    """A client of a server that speaks our protocol."""
    app = App()
    config = Config(app, log_config=None, access_log=False, lifespan="off", proxy_headers=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    protocol = functools.partial(
        BoundedHttpProtocol,
        seconds,
        [(b"x-frame-options", b"DENY")],
        lambda app, status, trace_id: app.refused.append((status, trace_id)),
        config=config,
        server_state=state,
        app_state={},
    )
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield Client(app, reader, writer)
        finally:
            writer.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await asyncio.gather(*state.tasks)


async def test_requests_are_answered_one_after_another_on_one_connection() -> None:
    async with connected() as client:
        for size in (0, 1, 100_000):
            await client.send(POST % (b"body", size) + b"x" * size)
            status, _, body = await client.reply()
            assert (status, body["size"]) == (200, size)


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with connected() as client:
        await client.send(GET % b"wait" + POST % (b"body", 3) + b"abc" + GET % b"")
        assert [(await client.reply())[2]["size"] for _ in range(3)] == [0, 3, 0]


async def test_an_answered_request_is_gone_without_the_garbage_collector() -> None:
    """With it goes up to 64 KiB of a body that nobody has read."""
    async with connected() as client:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await client.send(GET % b"")
                await client.reply()
            kept = [it for it in gc.get_objects() if isinstance(it, RequestResponseCycle)]
        finally:
            gc.enable()
    assert len(kept) == 1  # the connection's last


@pytest.mark.parametrize("pieces", [1, 50])
async def test_headers_beyond_the_bound_are_refused(log: Log, pieces: int) -> None:
    request = (b"GET / HTTP/1.1\r\nX-Long: ").ljust(MAX_HEADER_BYTES + 1, b"x")
    async with connected() as client:
        step = len(request) // pieces + 1
        for start in range(0, len(request), step):
            client.writer.write(request[start : start + step])
            await asyncio.sleep(0)
        trace_id = await client.expect_refusal(431, 40031, "request headers too large")
    assert log.event["message"] == "refused: request headers too large"
    assert (log.event["level"], log.event["logger"]) == ("WARNING", "http")
    assert (log.event["trace_id"], log.event["status"]) == (trace_id, 431)
    assert log.event["client"] == "127.0.0.1"


async def test_many_whole_headers_beyond_the_bound_are_refused_in_one_packet_too() -> None:
    lines = b"".join(
        b"X-%d: %b\r\n" % (number, b"x" * (MAX_HEADER_BYTES // 4)) for number in range(4)
    )
    async with connected() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
        await client.expect_refusal(431, 40031, "request headers too large")


async def test_a_long_request_line_is_refused() -> None:
    async with connected() as client:
        await client.send(b"GET /".ljust(MAX_HEADER_BYTES + 1, b"x"))
        await client.expect_refusal(431, 40031, "request headers too large")


async def test_headers_within_the_bound_pass_with_a_large_body_right_behind_them() -> None:
    size = MAX_HEADER_BYTES * 4
    long = b"X-Long: " + b"x" * (MAX_HEADER_BYTES // 2) + b"\r\n"
    async with connected() as client:
        for _ in range(3):
            head = (POST % (b"body", size)).replace(b"Host: x\r\n", b"Host: x\r\n" + long)
            await client.send(head + b"y" * size)
            status, _, body = await client.reply()
            assert (status, body["size"]) == (200, size)


async def test_trailers_are_bounded_like_headers() -> None:
    async with connected() as client:
        await client.send(CHUNKED + b"X-Trailer: 1\r\n\r\n")
        status, _, body = await client.reply()
        assert (status, body) == (200, {"size": 1, "headers": 2})
        client.app.has_read.clear()
        await client.send(CHUNKED)
        await client.app.has_read.wait()
        await client.send(b"X-Trailer: ".ljust(MAX_HEADER_BYTES + 1, b"x"))
        await client.expect_refusal(431, 40031, "request headers too large")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_envelope(log: Log, request_bytes: bytes) -> None:
    async with connected() as client:
        await client.send(request_bytes)
        trace_id = await client.expect_refusal(400, 40000, "not a valid HTTP request")
    (event,) = [event for event in log.events if event["logger"] == "http"]
    assert (event["status"], event["trace_id"]) == (400, trace_id)


@pytest.mark.parametrize("begin", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_does_not_finish_its_headers_in_time_is_refused(begin: bytes) -> None:
    async with connected(SHORT) as client:
        await client.send(begin)
        await client.expect_refusal(408, 40800, "the request took too long to arrive")


async def test_one_byte_at_a_time_does_not_win_time() -> None:
    async with connected(SHORT) as client:
        answering = asyncio.create_task(client.reply())
        client.writer.write(b"GET /")
        while not answering.done():
            client.writer.write(b"x")
            await asyncio.sleep(SHORT / 20)
        assert answering.result()[0] == 408


async def test_a_request_that_is_worked_on_is_not_a_slow_client() -> None:
    async with connected(SHORT) as client:
        await client.send(GET % b"wait")
        assert (await client.reply())[0] == 200


async def test_the_start_of_a_pipelined_request_waits_for_its_turn() -> None:
    async with connected(SHORT) as client:
        await client.send(GET % b"wait" + b"GET /")
        assert (await client.reply())[0] == 200
        await client.expect_refusal(408, 40800, "the request took too long to arrive")


async def test_a_body_that_nobody_asked_for_and_that_does_not_end_is_cut_off_silently() -> None:
    async with connected(SHORT) as client:
        await client.send(POST % (b"hurry", 1000))
        assert (await client.reply())[0] == 200
        await client.send(b"x")
        assert await client.rest() == b""


async def test_nonsense_behind_a_request_ends_the_connection_without_a_second_reply() -> None:
    async with connected() as client:
        await client.send(GET % b"half")
        head = await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"nonsense\r\n\r\n")
        rest = await client.rest()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1" not in rest


async def test_a_client_that_leaves_at_once_is_nothing_to_speak_of(log: Log) -> None:
    async with connected(SHORT) as client:
        client.writer.close()
        await client.writer.wait_closed()
        await asyncio.sleep(SHORT * 2)
    assert log.events == []
