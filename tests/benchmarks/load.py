"""Requests at a fixed rate, whatever the replies take: what is late waits, and that counts."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECTIONS = 32


@dataclass
class Outcome:
    """Seconds from when each request was due to the end of its reply, and the replies' statuses."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


async def send_at_rate(
    host: str, port: int, requests: Sequence[bytes], per_second: float, seconds: float
) -> Outcome:
    """Sends the requests in turns over connections that are kept.

    Raises:
        ConnectionError, asyncio.IncompleteReadError: a connection broke.
    """
    outcome, due = Outcome(), asyncio.Queue[float | None]()
    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            start = number % len(requests)
            turn = [*requests[start:], *requests[:start]]
            group.create_task(_connection(host, port, turn, due, outcome))
        started, count = time.perf_counter(), int(per_second * seconds)
        for number in range(count):
            at = started + number / per_second
            if (ahead := at - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            due.put_nowait(at)
        for _ in range(CONNECTIONS):
            due.put_nowait(None)  # no more
    return outcome


async def _connection(
    host: str,
    port: int,
    requests: Sequence[bytes],
    due: asyncio.Queue[float | None],
    outcome: Outcome,
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    sent = 0
    while (at := await due.get()) is not None:
        writer.write(requests[sent % len(requests)])
        sent += 1
        outcome.statuses[await _read_reply(reader)] += 1
        outcome.latencies.append(time.perf_counter() - at)
    writer.close()
    await writer.wait_closed()


async def _read_reply(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head.split(b" ", 2)[1])


def request(method: str, path: str, body: str = "", *headers: str) -> bytes:
    """One of HTTP/1.1, whole."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join((*lines, "", body)).encode()
