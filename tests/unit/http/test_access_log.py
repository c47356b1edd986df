import json

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, Lines, serving

pytestmark = pytest.mark.anyio

FORGED = '"}\n{"level":"CRITICAL","logger":"access","message":"forged"}\r\n\x1b[2J\u2028\u2029'


async def test_a_request_is_one_line_with_what_an_operator_needs(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.get("/accounts/17?token=s3cret")
        (line,) = lines.access
        assert list(line) == [
            *("time", "level", "message", "logger", "trace_id", "method", "route"),
            *("status", "ms", "bytes", "client"),
        ]
        assert line["method"] == "GET"
        assert line["route"] == "/accounts/{account_id}"
        assert line["status"] == 200
        assert line["bytes"] == len(reply.content)
        assert line["client"] == "203.0.113.9"
        assert line["trace_id"] == reply.headers["x-trace-id"]
        assert line["ms"] > 0
        assert b"s3cret" not in lines.raw
        assert b"/accounts/17" not in lines.raw


async def test_every_outcome_is_one_line(make_settings: MakeSettings, lines: Lines) -> None:
    settings = make_settings(MAX_BODY_BYTES=100)
    outcomes = [
        ("GET", "/nope", b"", "", 404),
        ("DELETE", "/ok", b"", "/ok", 405),
        ("GET", "/crash", b"", "/crash", 500),
        ("GET", "/away/redis", b"", "/away/{part}", 503),
        ("POST", "/accounts", b"{", "/accounts", 415),
        ("POST", "/raw", b"x" * 101, "", 413),
        ("GET", "/stream", b"", "/stream", 200),
        ("HEAD", "/livez", b"", "/livez", 200),
    ]
    async with serving(settings, every_way()) as served:
        for method, path, body, _, _ in outcomes:
            await served.http.request(method, path, content=body)
        found = [(line["method"], line["route"], line["status"]) for line in lines.access]
        assert found == [(method, route, status) for method, _, _, route, status in outcomes]


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_value_of_a_client_forges_a_line(
    make_settings: MakeSettings, lines: Lines, log_format: str
) -> None:
    forged = FORGED.encode()
    settings = make_settings(LOG_FORMAT=log_format, TRUSTED_PROXIES="203.0.113.0/24")
    exchange = Exchange(
        method=FORGED,
        path=f"/accounts/{FORGED}",
        query=forged,
        headers=[
            (name, forged)
            for name in (b"x-trace-id", b"traceparent", b"x-forwarded-for", b"user-agent")
        ]
        + [(b"x-forwarded-for", b"fe80::1%" + forged.replace(b",", b" ")), (forged, forged)],
    )
    async with serving(settings, every_way()) as served:
        before = len(lines.raw.splitlines())
        await exchange.run(served.app)
        after = lines.raw.splitlines()[before:]
        assert len(after) == 1
        assert b"\x1b" not in after[0]
        if log_format == "json":
            line = json.loads(after[0])
            assert (line["level"], line["method"]) == ("INFO", FORGED)
            assert line["client"] == "fe80::1"
        else:
            assert after[0].split()[1:3] == [b"INFO", b"access"]


async def test_a_client_cannot_suppress_its_line(make_settings: MakeSettings, lines: Lines) -> None:
    hostile = [
        Exchange(path="/\ud800\udfff"),
        Exchange(path="/accounts/{account_id}{0}%s"),
        Exchange(method=""),
        Exchange(method="\ud800"),
        Exchange(path="/ok", headers=[(b"accept-language", b"\xff" * 5000)]),
        Exchange(path="/ok", headers=[(b"accept-encoding", b"gzip;q=\xff")]),
        Exchange("POST", "/accounts", [(b"content-type", b"\xff\xfe/;;=")], [b"\xff"]),
        Exchange("POST", "/raw", [(b"content-length", b"-1")]),
        Exchange("POST", "/raw", [(b"content-length", b"1e9")]),
    ]
    async with serving(make_settings(TRUSTED_PROXIES="203.0.113.9"), every_way()) as served:
        for exchange in hostile:
            await exchange.run(served.app)
        assert len(lines.access) == len(hostile)
        assert lines.at("ERROR") == []


async def test_a_level_above_info_silences_the_access_log(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(LOG_LEVEL="WARNING"), every_way()) as served:
        await served.http.get("/ok")
        await served.http.get("/crash")
        assert [line["level"] for line in lines.all] == ["ERROR"]
