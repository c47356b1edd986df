"""`/metrics` on a port of its own, for processes that serve nothing else there.

HTTP as far as a scraper needs it: one GET a connection.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from internal.infra.metrics import Metrics
from internal.infra.metrics_text import scrape

PATH = "/metrics"
MAX_HEAD_BYTES = 16 * 1024
SECONDS = 5.0


@asynccontextmanager
async def serve_metrics(metrics: Metrics, listener: socket.socket) -> AsyncGenerator[None]:
    """Answers scrapers for as long as the block.

    Args:
        listener: not closed: another may serve from it after this.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_reply(metrics, head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            """Whoever does not ask, or does not listen, gets no answer."""
        finally:
            writer.close()

    server = await asyncio.start_server(answer, sock=listener.dup(), limit=MAX_HEAD_BYTES)
    try:
        yield
    finally:
        server.close()


def _reply(metrics: Metrics, head: bytes) -> bytes:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, _, target = request_line.partition(" ")
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", b"", "text/plain")
    if target.partition(" ")[0].partition("?")[0] != PATH:
        return _response("404 Not Found", b"", "text/plain")
    headers = (line.partition(":") for line in lines)
    accept = ",".join(value for name, _, value in headers if name.lower() == "accept")
    body, media_type = scrape(metrics, accept)
    response = _response("200 OK", body, media_type)
    return response if method == "GET" else response[: -len(body)]


def _response(status: str, body: bytes, media_type: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
        "cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
