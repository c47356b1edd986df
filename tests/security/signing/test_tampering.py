"""A signed request that somebody has changed on its way."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.signing.signed import (
    BY_NAME,
    EVENT,
    METHODS,
    WHOAMI,
    Client,
    Signed,
    count_events,
)
from tests.unit.http.serving import Served

pytestmark = pytest.mark.anyio

ECHO = b"/v1/internal/echo/a%2Fb/c%20d"
SIGNED_PARTS = ("client_id", "timestamp", "nonce", "method", "path", "query", "body", "signature")


async def refused(served: Served, request: Signed) -> None:
    """Whatever the reply tells, it is not that of a valid signature."""
    exchange = await request.sent_to(served.app)
    assert exchange.status == 401
    assert exchange.envelope["code"] == 40002
    assert exchange.envelope["data"] is None


async def accepted(served: Served, request: Signed) -> None:
    assert (await request.sent_to(served.app)).status == 200


async def test_a_well_signed_request_is_let_in_for_every_method(
    served: Served, client: Client
) -> None:
    for method in METHODS:
        await accepted(served, client.request(ECHO, method=method.encode(), body=b"{}"))


@pytest.mark.parametrize("method", METHODS)
async def test_another_method_is_refused(served: Served, client: Client, method: str) -> None:
    other = next(name for name in METHODS if name != method).encode()
    request = client.request(ECHO, method=method.encode(), body=b"{}")
    await refused(served, replace(request, method=other))
    await accepted(served, request)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"a=1&b=3",
        b"b=2&a=1",
        b"a=1&b=2&b=2",
        b"a=1&a=1&b=2",
        b"a=1&b=2&c=3",
        b"a=1&b=2&",
        b"&a=1&b=2",
        b"a=%31&b=2",
        b"%61=1&b=2",
        b"a=1&b=2%20",
        b"a=1;b=2",
        b"A=1&b=2",
        b"a=1%26b=2",
    ],
)
async def test_a_query_that_is_changed_reordered_duplicated_or_re_encoded_is_refused(
    served: Served, client: Client, query: bytes
) -> None:
    request = client.request(ECHO, query=b"a=1&b=2")
    await refused(served, replace(request, query=query))
    await accepted(served, request)


async def test_two_spellings_of_a_space_are_two_queries(served: Served, client: Client) -> None:
    await refused(served, replace(client.request(ECHO, query=b"q=a+b"), query=b"q=a%20b"))
    await refused(served, replace(client.request(ECHO, query=b"q=a%2fb"), query=b"q=a%2Fb"))


async def test_a_query_that_is_put_on_a_request_without_one_is_refused(
    served: Served, client: Client
) -> None:
    await refused(served, replace(client.request(), query=b"a=1"))


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/internal/echo/a%2fb/c%20d",
        b"/v1/internal/echo/a/b/c%20d",
        b"/v1/internal/echo/a%2Fb/c+d",
        b"/v1/internal/echo/a%2Fb/c%20%64",
        b"/v1/internal/echo/%61%2Fb/c%20d",
        b"/v1/internal/ech%6F/a%2Fb/c%20d",
        b"/v1/internal/echo/a%2Fb/c%20d/",
        b"/v1/internal/echo//a%2Fb/c%20d",
        b"/v1/internal/echo/./a%2Fb/c%20d",
        b"/v1/internal/echo/x/../a%2Fb/c%20d",
        b"/v1/internal/echo/a%252Fb/c%20d",
        b"/v1/internal/echo/A%2Fb/c%20d",
        b"/v1/internal/echo/a%2Fb",
    ],
)
async def test_a_path_that_is_changed_or_re_encoded_is_refused(
    served: Served, client: Client, path: bytes
) -> None:
    request = client.request(ECHO)
    await refused(served, replace(request, path=path))
    await accepted(served, request)


async def test_another_route_is_refused(served: Served, client: Client) -> None:
    await refused(served, replace(client.request(ECHO), path=WHOAMI))


async def test_what_moves_from_the_path_to_the_query_is_refused(
    served: Served, client: Client
) -> None:
    request = client.request(b"/v1/internal/echo/ab", query=b"c")
    await refused(served, replace(request, path=b"/v1/internal/echo/a", query=b"bc"))
    await refused(served, replace(request, path=b"/v1/internal/echo/ab%3Fc", query=b""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        EVENT.replace(b"0042", b"0043"),
        EVENT + b"\n",
        EVENT.replace(b":", b": "),
        EVENT.replace(b"invoice.", rb"invoice\u002e"),
        EVENT * 2,
    ],
)
async def test_another_body_is_refused_and_nothing_is_written(
    served: Served, client: Client, body: bytes
) -> None:
    request = client.event()
    exchange = await replace(request, body=body).sent_to(served.app)
    assert exchange.status in {400, 401}  # what is no JSON is said before who it came from
    assert await count_events(served.app) == 0
    assert (await request.sent_to(served.app)).status == 201


async def test_a_body_that_is_put_on_a_request_without_one_is_refused(
    served: Served, client: Client
) -> None:
    await refused(served, replace(client.request(ECHO), body=b"x"))


@pytest.mark.parametrize("name", BY_NAME.values())
async def test_a_header_that_is_missing_doubled_or_empty_is_refused(
    served: Served, client: Client, name: bytes
) -> None:
    request = client.request()
    without = [header for header in request.headers if header[0] != name]
    (header,) = (header for header in request.headers if header[0] == name)
    for headers in (without, [*request.headers, header], [header, *without, (name, b"x")]):
        assert (await request.sent_to(served.app, headers)).status == 401
    assert (await request.sent_to(served.app, [*without, (name, b"")])).status == 401
    await accepted(served, request)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("client_id", b"gw_" + b"x" * 38),
        ("client_id", b"gw_\xc3\xa9"),
        ("client_id", b"gw_*"),
        ("client_id", b"' OR '1'='1"),
        ("timestamp", b"now"),
        ("timestamp", b"-1"),
        ("timestamp", b"+1767323045"),
        ("timestamp", b"1767323045.5"),
        ("timestamp", b"1_767_323_045"),
        ("timestamp", b"0x6957"),
        ("timestamp", "１７６７３２３０４５".encode()),
        ("timestamp", b"9" * 13),
        ("timestamp", b"9" * 5000),
        ("nonce", b"x" * 15),
        ("nonce", b"x" * 65),
        ("nonce", b"x" * 15 + b"*"),
        ("nonce", b"x" * 15 + b"\n"),
        ("nonce", b"x" * 15 + b"\xe9"),
        ("signature", b"0" * 63),
        ("signature", b"0" * 65),
        ("signature", b"g" * 64),
        ("signature", "é".encode() * 32),
    ],
)
async def test_a_malformed_header_is_refused_though_it_is_signed(
    served: Served, client: Client, part: str, value: bytes
) -> None:
    request = client.request()
    signed = replace(request, **{part: value})
    if part != "signature":
        signed = signed.under(client.secret.encode())
    await refused(served, signed)


async def test_a_signature_in_capitals_is_refused(served: Served, client: Client) -> None:
    request = client.request()
    await refused(served, replace(request, signature=request.signature.upper()))
    await accepted(served, request)


async def test_the_signature_of_another_secret_is_refused(served: Served, client: Client) -> None:
    await refused(served, client.request().under(b"guessed"))
    await refused(served, client.request().under(b""))


@pytest.mark.parametrize("part", SIGNED_PARTS)
@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_single_byte_that_is_changed_added_or_lost_is_refused(
    served: Served, client: Client, part: str, data: st.DataObject
) -> None:
    request = client.request(
        b"/v1/internal/echo/a%2Fb", method=b"PATCH", query=b"a=1&b=%20", body=b'{"a": [1, 2]}'
    )
    value: bytes = getattr(request, part)
    at = data.draw(st.integers(0, len(value) - 1), label="at")
    change = data.draw(st.sampled_from(("changed", "added", "lost")), label="change")
    new = bytes([data.draw(st.integers(0, 255).filter(lambda byte: byte != value[at]))])
    changed = value[:at] + (b"" if change == "lost" else new) + value[at + (change != "added") :]
    exchange = await replace(request, **{part: changed}).sent_to(served.app)
    # Another path or method may be no route at all.
    assert exchange.status in ({401, 404, 405} if part in {"path", "method"} else {401})
    await accepted(served, request)
