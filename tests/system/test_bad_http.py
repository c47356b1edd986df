"""What arrives on a real socket and is no honest request: each its clear answer, nothing lost."""

import json
import socket
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from tests.system.serving import EMBEDDED, Serving

TIMEOUT_SECONDS = 2
MAX_BODY_BYTES = 100_000
HOST = b"Host: service\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Serving]:
    settings = {
        **EMBEDDED,
        "REQUEST_TIMEOUT_SECONDS": TIMEOUT_SECONDS,
        "MAX_BODY_BYTES": MAX_BODY_BYTES,
    }
    folder = tmp_path_factory.mktemp("bad-http")
    with Serving(folder, settings, with_routes=True) as service:
        yield service


@pytest.fixture(autouse=True)
def serves_on(service: Serving) -> Generator[None]:
    """Whatever came, the next client is served, and no error of ours is in the log."""
    yield
    assert service.http.get("/number/7").json()["data"] == 7
    assert service.lines_at("ERROR", "CRITICAL") == []


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope


def replies(sent: bytes) -> tuple[list[Reply], bytes]:
    """The whole replies in what a server sent, and the bytes behind them."""
    found = []
    while b"\r\n\r\n" in sent:
        head, _, rest = sent.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers["content-length"])
        if len(rest) < length:
            break
        found.append(Reply(int(status_line.split(" ")[1]), headers, rest[:length]))
        sent = rest[length:]
    return found, sent


def talk(service: Serving, *parts: bytes, until: int | None = None) -> list[Reply]:
    """Sends parts and reads until the server closes, or until so many replies have come."""
    sent, answers = b"", list[Reply]()
    with service.connect() as connection:
        with suppress(ConnectionError):  # it closed already: what it has said counts
            for part in parts:
                connection.sendall(part)
        while until is None or len(answers) < until:
            try:
                piece = connection.recv(65536)
            except ConnectionError:
                break
            if not piece:
                break
            sent += piece
            answers, _ = replies(sent)
    assert replies(sent)[1] == b"", sent
    return answers


def refused(service: Serving, *parts: bytes) -> Reply:
    """The one reply, in the envelope, before the server closed the connection."""
    (reply,) = talk(service, *parts)
    assert reply.headers["connection"] == "close"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.envelope["trace_id"] == reply.headers["x-trace-id"]
    assert reply.envelope["data"] is None
    return reply


def post(path: bytes, body: bytes, headers: bytes = JSON) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\n%b%b%b\r\n%b" % (path, HOST, headers, length, body)


def get(path: bytes, headers: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, headers)


@pytest.mark.parametrize("parts", [1, 50])
def test_a_header_of_100_kb_is_431(service: Serving, parts: int) -> None:
    value = b"x" * (100_000 // parts)
    headers = b"".join(b"X-%d: %b\r\n" % (number, value) for number in range(parts))
    reply = refused(service, get(b"/number/1", headers))
    assert (reply.status, reply.envelope["code"]) == (431, 40031)


def test_a_header_that_never_ends_is_431(service: Serving) -> None:
    start = b"GET /number/1 HTTP/1.1\r\nX: "
    assert refused(service, start, *[b"x" * 10_000] * 100).status == 431


def test_an_url_of_100_kb_is_431(service: Serving) -> None:
    assert refused(service, get(b"/number/1?" + b"x" * 100_000)).status == 431


def drip(service: Serving, start: bytes, *, every: float) -> tuple[list[Reply], float]:
    """A client that sends a byte now and then; the replies, and the seconds until the end."""
    started = time.monotonic()
    with service.connect() as connection:
        connection.settimeout(every)
        connection.sendall(start)
        sent = b""
        while time.monotonic() - started < 15 * TIMEOUT_SECONDS:
            with suppress(TimeoutError):
                try:
                    connection.sendall(b"x")
                    piece = connection.recv(65536)
                except ConnectionError:
                    break
                if not piece:
                    break
                sent += piece
        else:
            pytest.fail("it was let drip for ever")
        return replies(sent)[0], time.monotonic() - started


def test_a_client_that_sends_a_byte_a_second_is_408(service: Serving) -> None:
    post_head = b"POST %b HTTP/1.1\r\n" + HOST + JSON
    unfinished = [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        post_head % b"/raw" + b"Content-Length: 5000\r\n\r\n",
        post_head % b"/people" + b"Content-Length: 5000\r\n\r\n{",
        post_head % b"/raw" + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n",
    ]
    with ThreadPoolExecutor(len(unfinished)) as clients:
        outcomes = clients.map(lambda start: drip(service, start, every=0.9), unfinished)
        for start, (answers, seconds) in zip(unfinished, outcomes, strict=True):
            (reply,) = answers
            assert (reply.status, reply.envelope["code"]) == (408, 40800), start
            assert reply.headers["connection"] == "close", start
            assert seconds >= TIMEOUT_SECONDS, start


def test_a_client_that_says_nothing_is_408(service: Serving) -> None:
    assert refused(service).status == 408


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"NONSENSE\r\n\r\n", id="no request line"),
        pytest.param(b"GET /number/1 HTTP/9.9\r\n" + HOST + b"\r\n", id="unknown version"),
        pytest.param(b"GET /number/1 HTTP/1.1\r\nNo colon\r\n\r\n", id="no colon"),
        pytest.param(b"GET /number/1 HTTP/1.1\r\nX : 1\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET /number/1 HTTP/1.1\r\nX\x00: 1\r\n\r\n", id="NUL in a name"),
        pytest.param(b"GET /number/1 HTTP/1.1\r\nX: a\x00b\r\n\r\n", id="NUL in a value"),
        pytest.param(b"GET /number/1 HTTP/1.1\r\n: empty\r\n\r\n", id="empty name"),
        pytest.param(b"G\xc3\x89T / HTTP/1.1\r\n\r\n", id="method of other letters"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    ],
)
def test_what_is_no_http_is_400_in_the_envelope(service: Serving, request_: bytes) -> None:
    reply = refused(service, request_)
    assert (reply.status, reply.envelope["code"]) == (400, 40000)
    assert reply.envelope["message"] == "not a valid HTTP request"


def test_a_client_that_leaves_in_its_body_is_one_access_line(service: Serving) -> None:
    def access() -> list[dict[str, Any]]:
        lines = service.lines
        return [line for line in lines if line["message"] == "request" and line["status"] == 499]

    for path in (b"/raw", b"/people"):
        before = len(access())
        start = b"POST %b HTTP/1.1\r\n%b%bContent-Length: 50\r\n\r\n" % (path, HOST, JSON)
        with service.connect() as connection:
            connection.sendall(start + b'{"name":')
        service.wait_for(lambda before=before: len(access()) == before + 1)  # type: ignore[misc]
        assert access()[-1]["route"] == path.decode()


def test_a_client_that_resets_its_connection_is_nobodys_error(service: Serving) -> None:
    linger_not = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    for start in (b"GET /num", post(b"/raw", b"x" * 100)[:-50], get(b"/number/1")):
        with service.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
            connection.sendall(start)


@pytest.mark.parametrize("path", [b"/raw", b"/people", b"/nowhere"])
def test_a_declared_body_over_the_limit_is_413_before_it_is_sent(
    service: Serving, path: bytes
) -> None:
    head = b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n"
    reply = refused(service, head % (path, HOST, JSON, MAX_BODY_BYTES + 1))
    assert (reply.status, reply.envelope["code"]) == (413, 40005)


@pytest.mark.parametrize("path", [b"/raw", b"/people"])
def test_a_chunked_body_over_the_limit_is_413(service: Serving, path: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n" % (path, HOST, JSON)
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    (first,) = talk(service, head, *[chunk] * 20, b"0\r\n\r\n", until=1)
    assert (first.status, first.envelope["code"]) == (413, 40005)


def test_a_body_of_the_limit_is_taken_either_way(service: Serving) -> None:
    (reply,) = talk(service, post(b"/raw", b"x" * MAX_BODY_BYTES, b"Connection: close\r\n"))
    assert reply.envelope["data"] == MAX_BODY_BYTES
    head = b"POST /raw HTTP/1.1\r\n%bConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" % HOST
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    (reply,) = talk(service, head, *[chunk] * 100, b"0\r\n\r\n")
    assert reply.envelope["data"] == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"[" * 10_000 + b"]" * 10_000, 400, 40000, id="10,000 levels"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, 40000, id="10,000 objects"),
        pytest.param(b'{"name": "\xff\xfe"}', 400, 40000, id="invalid UTF-8"),
        pytest.param(b'{"name": ', 400, 40000, id="invalid JSON"),
        pytest.param(b'{"name": "\\ud800"}', 422, 40006, id="half a character"),
        pytest.param(b'{"name": 1}', 422, 40006, id="wrong type"),
        pytest.param(b"", 422, 40006, id="no body"),
    ],
)
def test_a_body_that_is_not_what_is_asked_for(
    service: Serving, body: bytes, status: int, code: int
) -> None:
    (reply,) = talk(service, post(b"/people", body, JSON + b"Connection: close\r\n"))
    assert (reply.status, reply.envelope["code"]) == (status, code)


def test_a_body_of_another_type_is_415(service: Serving) -> None:
    headers = b"Content-Type: text/xml\r\nConnection: close\r\n"
    (reply,) = talk(service, post(b"/people", b"<name/>", headers))
    assert (reply.status, reply.envelope["code"]) == (415, 40015)


def test_pipelined_requests_are_answered_in_order(service: Serving) -> None:
    requests = [get(b"/number/%d" % number) for number in range(20)]
    requests.insert(5, post(b"/people", b'{"name": "Ada"}'))
    requests.insert(11, post(b"/raw", b"x" * 5000))
    last = get(b"/number/99", b"Connection: close\r\n")
    answers = [reply.envelope["data"] for reply in talk(service, b"".join([*requests, last]))]
    expected: list[object] = list(range(20))
    expected.insert(5, "Ada")
    expected.insert(11, 5000)
    assert answers == [*expected, 99]


def test_a_bad_request_is_not_answered_in_the_place_of_the_good_ones_before_it(
    service: Serving,
) -> None:
    answers = talk(service, get(b"/number/1") + get(b"/number/2") + b"NONSENSE\r\n\r\n")
    said = [reply.envelope["data"] or reply.status for reply in answers]
    assert said == [1, 2, 400][: len(said)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", id="CL.TE"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", id="TE.CL"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6\r\n", id="two lengths"),
        pytest.param(b"Content-Length: 5, 6\r\n", id="list of lengths"),
        pytest.param(b"Content-Length: +5\r\n", id="signed length"),
        pytest.param(b"Content-Length: -5\r\n", id="negative length"),
        pytest.param(b"Content-Length: 0x5\r\n", id="hexadecimal length"),
        pytest.param(b"Content-Length: 5 5\r\n", id="length with a space"),
        pytest.param(b"Content-Length: 99999999999999999999999\r\n", id="length of 77 bits"),
        pytest.param(b"Transfer-Encoding: chunked, identity\r\n", id="not chunked last"),
        pytest.param(b"Transfer-Encoding: xchunked\r\n", id="unknown coding"),
        pytest.param(b"Transfer-Encoding : chunked\r\n", id="space before the colon"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", id="two codings"),
    ],
)
def test_a_request_of_unclear_length_smuggles_no_second_one(
    service: Serving, headers: bytes
) -> None:
    head = b"POST /raw HTTP/1.1\r\n" + HOST + headers + b"\r\n"
    answers = talk(service, head + b"0\r\n\r\n" + get(b"/smuggled"))
    assert [reply.status for reply in answers] in ([400], [413])
    assert answers[0].headers["connection"] == "close"
    assert "/smuggled" not in {line.get("route") for line in service.lines}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"zz\r\nhello\r\n0\r\n\r\n", id="size that is no number"),
        pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", id="negative size"),
        pytest.param(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", id="size of 68 bits"),
        pytest.param(b"5\r\nhelloXX0\r\n\r\n", id="no line end after the data"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="hexadecimal prefix"),
    ],
)
def test_a_broken_chunk_is_400_and_ends_the_connection(service: Serving, body: bytes) -> None:
    head = b"POST /raw HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST
    answers = talk(service, head + body + get(b"/smuggled"))
    assert [reply.status for reply in answers] in ([400], [])
    assert "/smuggled" not in {line.get("route") for line in service.lines}


def test_an_upgrade_to_another_protocol_is_not_taken(service: Serving) -> None:
    headers = b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    (first,) = talk(service, get(b"/number/1", headers), until=1)
    assert first.status == 200
