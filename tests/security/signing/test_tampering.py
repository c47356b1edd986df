"""A signed request that somebody has changed on its way."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.signing.signed import (
    EVENT,
    METHODS,
    WHOAMI,
    Client,
    Signed,
    count_events,
    now,
)
from tests.unit.http.serving import Served

pytestmark = pytest.mark.anyio

ECHO = b"/v1/internal/echo/a%2Fb/c%20d"
OTHER_QUERIES = [
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
]
OTHER_PATHS = [
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
]
MALFORMED = [
    ("client_id", b"gw_" + b"x" * 38),
    ("client_id", b"gw_\xc3\xa9"),
    ("client_id", b"gw_*"),
    ("client_id", b"' OR '1'='1"),
    ("nonce", b"x" * 15),
    ("nonce", b"x" * 65),
    ("nonce", b"x" * 15 + b"*"),
    ("nonce", b"x" * 15 + b"\n"),
    ("nonce", b"x" * 15 + b"\xe9"),
    ("signature", b"0" * 63),
    ("signature", b"0" * 65),
    ("signature", b"g" * 64),
    ("signature", "é".encode() * 32),
]
OTHER_BODIES = [
    b"",
    EVENT.replace(b"0042", b"0043"),
    EVENT + b"\n",
    EVENT.replace(b":", b": "),
    EVENT.replace(b"invoice.", rb"invoice\u002e"),
    EVENT * 2,
]
SIGNED_PARTS = ("client_id", "timestamp", "nonce", "method", "path", "query", "body", "signature")


async def refused(served: Served, request: Signed) -> None:
    """Whatever the reply tells, it is not that of a valid signature."""
    exchange = await request.sent_to(served.app)
    assert exchange.status == 401, request
    assert exchange.envelope["code"] == 40002
    assert exchange.envelope["data"] is None


async def accepted(served: Served, request: Signed) -> None:
    assert (await request.sent_to(served.app)).status == 200


async def test_a_well_signed_request_is_let_in_for_every_method(
    served: Served, client: Client
) -> None:
    for method in METHODS:
        await accepted(served, client.request(ECHO, method=method.encode(), body=b"{}"))


async def test_another_method_is_refused(served: Served, client: Client) -> None:
    for method, other in permutations(METHODS, 2):
        request = client.request(ECHO, method=method.encode(), body=b"{}")
        await refused(served, replace(request, method=other.encode()))
        await accepted(served, request)


async def test_a_query_that_is_changed_reordered_duplicated_or_re_encoded_is_refused(
    served: Served, client: Client
) -> None:
    request = client.request(ECHO, query=b"a=1&b=2")
    for query in OTHER_QUERIES:
        await refused(served, replace(request, query=query))
    await accepted(served, request)


async def test_two_spellings_of_a_space_are_two_queries(served: Served, client: Client) -> None:
    await refused(served, replace(client.request(ECHO, query=b"q=a+b"), query=b"q=a%20b"))
    await refused(served, replace(client.request(ECHO, query=b"q=a%2fb"), query=b"q=a%2Fb"))


async def test_a_query_that_is_put_on_a_request_without_one_is_refused(
    served: Served, client: Client
) -> None:
    await refused(served, replace(client.request(), query=b"a=1"))


async def test_a_path_that_is_changed_or_re_encoded_is_refused(
    served: Served, client: Client
) -> None:
    request = client.request(ECHO)
    for path in OTHER_PATHS:
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


async def test_another_body_is_refused_and_nothing_is_written(
    served: Served, client: Client
) -> None:
    request = client.event()
    for body in OTHER_BODIES:
        exchange = await replace(request, body=body).sent_to(served.app)
        assert exchange.status in {400, 401}, body  # no JSON is said before who it came from
    assert await count_events(served.app) == 0
    assert (await request.sent_to(served.app)).status == 201


async def test_a_body_that_is_put_on_a_request_without_one_is_refused(
    served: Served, client: Client
) -> None:
    await refused(served, replace(client.request(ECHO), body=b"x"))


async def test_a_header_that_is_missing_doubled_or_empty_is_refused(
    served: Served, client: Client
) -> None:
    request = client.request()
    for name, value in request.headers:
        without = [header for header in request.headers if header[0] != name]
        for values in ([], [value, value], [value, b"x"], [b"x", value], [b""], [value, b""]):
            headers = [*without, *((name, each) for each in values)]
            assert (await request.sent_to(served.app, headers)).status == 401, (name, values)
    await accepted(served, request)


async def test_a_malformed_header_is_refused_though_it_is_signed(
    served: Served, client: Client
) -> None:
    for part, value in MALFORMED:
        changed: Any = {part: value}
        signed = replace(client.request(), **changed)
        if part != "signature":
            signed = signed.under(client.secret.encode())
        await refused(served, signed)


async def test_a_timestamp_that_is_spelt_in_another_way_is_refused(
    served: Served, client: Client
) -> None:
    time = now().decode()
    full_width = time.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    spellings = ("+", f"+{time}", f"-{time}", f"{time}.0", f"{time}e0", f" {time}", f"{time}\n")
    for spelling in (*spellings, f"{time[0]}_{time[1:]}", hex(int(time)), full_width, "9" * 5000):
        await refused(served, client.request(timestamp=spelling.encode()))
    await accepted(served, client.request(timestamp=time.encode()))


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
    bytes_ = value[:at] + (b"" if change == "lost" else new) + value[at + (change != "added") :]
    changed: Any = {part: bytes_}
    exchange = await replace(request, **changed).sent_to(served.app)
    # Another path or method may be no route at all.
    assert exchange.status in ({401, 404, 405} if part in {"path", "method"} else {401})
    await accepted(served, request)
