"""Requests to servers that somebody else has named, sent for real."""

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from internal.core.address import Address
from internal.core.signature import SignatureHeaders, canonical_request, is_signed_with
from internal.infra.outgoing_http import (
    MAX_REPLY_BYTES,
    BadReply,
    BadUrl,
    ForbiddenAddress,
    OutgoingError,
    OutgoingHttp,
    Reply,
    Resolve,
    TookTooLong,
    Unreachable,
    resolve,
)
from internal.infra.signing import SignedAuth
from tests.integration.answering import Answer, Answering, answering, endless, plain, raw
from tests.integration.certificates import Authority
from tests.servers import free_port

pytestmark = pytest.mark.anyio

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
NAME = "hooks.example"
LONG = 60.0  # never reached


class Names:
    """A resolver whose answers are said in advance, the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return [ip_address(address) for address in answer]


def client(resolve: Resolve = resolve, *, require_https: bool = False) -> OutgoingHttp:
    return OutgoingHttp(LOOPBACK, require_https=require_https, resolve=resolve)


async def post(
    server: Answering,
    http: OutgoingHttp | None = None,
    *,
    host: str = "127.0.0.1",
    total_timeout: float = LONG,
) -> Reply:
    url = f"http://{host}:{server.port}/hook"
    return await (http or client()).post(url, b"{}", {}, total_timeout=total_timeout)


async def failure_of(answer: Answer) -> OutgoingError:
    async with answering(answer) as server:
        with pytest.raises(OutgoingError) as failed:
            await post(server)
        return failed.value


async def test_the_request_arrives_as_it_was_meant_and_the_reply_comes_back() -> None:
    target = "/a%2fb/~c?q=a+b%20c&d&e=%E4%B8%AD"
    async with answering(plain("201 Created", b"done", X_Part="one")) as server:
        url = f"http://localhost:{server.port}{target}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": "job-1"}
        reply = await client().post(url, b'{"a":1}', headers, total_timeout=LONG)
    assert (reply.status, reply.headers["x-part"], reply.body) == (201, "one", b"done")
    (received,) = server.received
    assert received.line == f"POST {target} HTTP/1.1"
    assert received.body == b'{"a":1}'
    user_agent = received.headers.pop("user-agent")
    assert user_agent.startswith("groundwork/")
    assert received.headers == {
        "host": f"localhost:{server.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "idempotency-key": "job-1",
        "content-length": "7",
    }


async def test_the_receiver_can_verify_the_signature_from_the_bytes_that_it_gets() -> None:
    async with answering(plain()) as server:
        url = f"http://127.0.0.1:{server.port}/a%2fb?c=d&e"
        auth = SignedAuth("7201443112960000", "secret")
        await client().post(url, b'{"a":1}', {}, auth=auth, total_timeout=LONG)
    (received,) = server.received
    signature = received.headers["x-signature"].encode()
    headers = SignatureHeaders(
        received.headers["x-client-id"].encode(),
        received.headers["x-timestamp"].encode(),
        received.headers["x-nonce"].encode(),
        signature,
    )
    method, target, _ = received.line.split(" ")
    path, _, query = target.partition("?")
    canonical = canonical_request(
        headers, method.encode(), path.encode(), query.encode(), received.body
    )
    assert is_signed_with(b"secret", canonical, signature)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_a_reply_and_is_not_followed(status: str) -> None:
    async with answering(plain()) as inside:
        location = f"http://127.0.0.1:{inside.port}/"
        async with answering(plain(status, Location=location)) as server:
            reply = await post(server)
            assert reply.status == int(status[:3])
            assert reply.headers["location"] == location
            assert len(server.received) == 1
        assert inside.received == []


async def test_no_cookie_of_a_reply_is_sent_with_the_next_request() -> None:
    async with answering(plain(Set_Cookie="a=b; Path=/")) as server:
        http = client()
        for _ in range(2):
            await post(server, http)
        assert [("cookie" in received.headers) for received in server.received] == [False, False]


async def test_proxies_and_credentials_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with answering(plain()) as proxy, answering(plain(body=b"direct")) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        (tmp_path / "netrc").write_text("default login somebody password something\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert (await post(server)).body == b"direct"
        assert "authorization" not in server.received[0].headers
        assert proxy.received == []


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
    ],
)
async def test_a_reply_is_decoded_also_where_nobody_asked_for_an_encoding(
    encoding: str, encode: type[bytes]
) -> None:
    async with answering(plain(body=encode(b"hello"), Content_Encoding=encoding)) as server:
        assert (await post(server)).body == b"hello"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"hello"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-8] + b"xxxxxxxx"),
        ("deflate", b"\0\1\2"),
        ("br", b"hello"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"hello", mtime=0), mtime=0)),
        ("no-such", b"hello"),
    ],
)
async def test_a_reply_that_is_not_encoded_as_it_says_is_an_error_that_may_pass(
    encoding: str, body: bytes
) -> None:
    failure = await failure_of(plain(body=body, Content_Encoding=encoding))
    assert isinstance(failure, BadReply)
    assert not failure.is_permanent


def bomb() -> bytes:
    deflate = zlib.compressobj(9, wbits=31)
    return b"".join(deflate.compress(bytes(1 << 20)) for _ in range(40)) + deflate.flush()


async def test_a_gzip_bomb_is_not_inflated_beyond_the_limit() -> None:
    body = bomb()
    assert len(body) < MAX_REPLY_BYTES  # it would arrive whole
    async with answering(plain(body=body, Content_Encoding="gzip")) as server:
        await post(server)  # what is imported at the first request is not part of the measure
        tracemalloc.start()
        reply = await post(server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert reply.body == bytes(MAX_REPLY_BYTES)
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("encoding", "beginning", "length"),
    [("identity", b"", MAX_REPLY_BYTES), ("gzip", gzip.compress(b"all", mtime=0), len(b"all"))],
)
async def test_a_reply_without_end_is_left_at_the_limit(
    encoding: str, beginning: bytes, length: int
) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n\r\n".encode()
    async with answering(endless(head + beginning, b"x" * 1000)) as server:
        assert len((await post(server)).body) == length
        await asyncio.wait_for(server.closed.wait(), LONG)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["body", "headers", "interim replies"],
)
async def test_a_reply_that_drips_is_given_up_at_the_total_timeout(
    head: bytes, piece: bytes
) -> None:
    async with answering(endless(head, piece, pause=0.05)) as server:
        with pytest.raises(TookTooLong) as failed:
            await post(server, total_timeout=0.5)
        assert not failed.value.is_permanent
        await asyncio.wait_for(server.closed.wait(), LONG)


async def test_a_resolver_that_does_not_answer_counts_towards_the_total_timeout() -> None:
    async def never(_host: str, _port: int) -> list[Address]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(TookTooLong):
        await client(never).post(f"http://{NAME}/", b"", {}, total_timeout=0.1)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ],
    ids=[
        "nothing",
        "a line cut",
        "a body cut",
        "a chunk cut",
        "SSH",
        "a header bomb",
        "two lengths",
    ],
)
async def test_a_server_that_ends_early_or_speaks_no_http_is_an_error_that_may_pass(
    reply: bytes,
) -> None:
    failure = await failure_of(raw(reply))
    assert isinstance(failure, (BadReply, Unreachable))
    assert not failure.is_permanent


async def test_where_nobody_listens_or_nobody_knows_the_name_is_an_error_that_may_pass() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/", "http://no-such-name.invalid/"):
        with pytest.raises(Unreachable) as failed:
            await client().post(url, b"", {}, total_timeout=LONG)
        assert not failed.value.is_permanent


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name that answers something else the second time (DNS rebinding) gains nothing."""
    port = free_port()
    async with (
        answering(plain(body=b"good"), host="127.0.0.1", port=port) as good,
        answering(plain(body=b"bad"), host="127.0.0.2", port=port) as bad,
    ):
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        http = OutgoingHttp([ip_network("127.0.0.1/32")], require_https=False, resolve=names)
        assert (await post(good, http, host=NAME)).body == b"good"
        assert names.asked == [(NAME, port)]
        assert good.received[0].headers["host"] == f"{NAME}:{port}"
        with pytest.raises(ForbiddenAddress):
            await post(good, http, host=NAME)
        assert bad.received == []


@pytest.mark.parametrize("forbidden", ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1"])
async def test_one_forbidden_address_among_others_forbids_the_host(forbidden: str) -> None:
    async with answering(plain()) as server:
        for answer in (["127.0.0.1", forbidden], [forbidden, "127.0.0.1"]):
            with pytest.raises(ForbiddenAddress) as refused:
                await post(server, client(Names(answer)), host=NAME)
            assert refused.value.is_permanent
            assert forbidden not in str(refused.value)
        assert server.received == []


async def test_of_several_addresses_the_first_that_answers_is_taken() -> None:
    async with answering(plain(body=b"here")) as server:
        names = Names(["127.0.0.3", "::1", "127.0.0.1"])
        assert (await post(server, client(names), host=NAME)).body == b"here"
        assert len(server.received) == 1


async def test_what_has_arrived_is_not_sent_to_the_next_address() -> None:
    port = free_port()
    async with (
        answering(raw(b""), host="127.0.0.1", port=port) as first,
        answering(plain(), host="127.0.0.2", port=port) as second,
    ):
        with pytest.raises(BadReply):
            await post(first, client(Names(["127.0.0.1", "127.0.0.2"])), host=NAME)
        assert (len(first.received), second.received) == (1, [])


async def test_an_ipv6_address_is_reached_by_number_and_by_name() -> None:
    async with answering(plain(body=b"six"), host="::1") as server:
        assert (await post(server, host="[::1]")).body == b"six"
        assert (await post(server, client(Names(["::1"])), host=NAME)).body == b"six"
        assert [each.headers["host"] for each in server.received] == [
            f"[::1]:{server.port}",
            f"{NAME}:{server.port}",
        ]


ODD_NUMBERS = ("2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001", "127.1", "017700000001")


@pytest.mark.parametrize(
    "host",
    [
        *ODD_NUMBERS,
        *("localhost", "127.0.0.1", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
        *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]"),
        *("169.254.169.254", "10.0.0.1", "100.64.0.1", "[fd00::1]", "224.0.0.1", "[ff02::1]"),
    ],
)
async def test_a_host_that_is_no_global_address_is_refused_however_it_is_written(
    host: str,
) -> None:
    async with answering(plain()) as server:
        with pytest.raises(ForbiddenAddress) as refused:
            await post(server, OutgoingHttp(require_https=False), host=host)
        assert refused.value.is_permanent
        assert server.received == []


@pytest.mark.parametrize("host", ODD_NUMBERS)
async def test_an_odd_number_is_judged_by_the_address_that_it_stands_for(host: str) -> None:
    async with answering(plain(body=b"loopback")) as server:
        assert (await post(server, host=host)).body == b"loopback"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://127.0.0.1/", "http://user:password@127.0.0.1/", "http://127.0.0.1\\@x/", "//x"],
)
async def test_what_is_no_url_is_refused_for_good(url: str) -> None:
    with pytest.raises(BadUrl) as refused:
        await client().post(url, b"", {}, total_timeout=LONG)
    assert refused.value.is_permanent


async def test_a_name_that_is_too_long_to_be_one_is_no_crash() -> None:
    with pytest.raises(OutgoingError):
        await client().post(f"http://{'a.' * 500}a/", b"", {}, total_timeout=LONG)


async def test_http_is_refused_where_https_is_required() -> None:
    async with answering(plain()) as server:
        with pytest.raises(BadUrl, match="https"):
            await post(server, client(require_https=True))
        assert server.received == []


def server_tls(certificate: Path, key: Path, seen: list[str | None]) -> ssl.SSLContext:
    """The side of a server.

    Args:
        seen: gets the name that each client asks for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_servername_callback(lambda _socket, name, _context: seen.append(name))
    return context


async def test_tls_is_verified_against_the_name_though_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.create(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    seen: list[str | None] = []
    tls = server_tls(*authority.issue(tmp_path, NAME), seen)
    names, http = Names(["127.0.0.1"]), client(Names(["127.0.0.1"]), require_https=True)
    async with answering(plain(body=b"safe"), tls=tls) as server:
        url = f"https://{NAME}:{server.port}/"
        assert (await http.post(url, b"", {}, total_timeout=LONG)).body == b"safe"
        assert seen == [NAME]
        for other in ("other.example", "127.0.0.1"):
            with pytest.raises(Unreachable, match="certificate"):
                await client(names).post(
                    f"https://{other}:{server.port}/", b"", {}, total_timeout=LONG
                )
        assert len(server.received) == 1


async def test_a_certificate_of_an_unknown_authority_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority.create(tmp_path, "authority").file))
    stranger = Authority.create(tmp_path, "stranger")
    tls = server_tls(*stranger.issue(tmp_path, NAME), [])
    async with answering(plain(), tls=tls) as server:
        with pytest.raises(Unreachable, match="certificate") as failed:
            await client(Names(["127.0.0.1"])).post(
                f"https://{NAME}:{server.port}/", b"", {}, total_timeout=LONG
            )
        assert not failed.value.is_permanent
        assert server.received == []


async def test_a_server_without_tls_is_no_https() -> None:
    async with answering(plain()) as server:
        with pytest.raises(Unreachable):
            await client().post(f"https://127.0.0.1:{server.port}/", b"", {}, total_timeout=LONG)
