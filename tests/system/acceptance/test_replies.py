"""What every reply has in common, seen from outside."""

import re

import httpx
import pytest

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HEX_32 = re.compile(r"^[0-9a-f]{32}$")


def test_alive_ready_and_healthy_are_200(http: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        assert http.get(path).status_code == 200


def test_readiness_names_its_parts(http: httpx.Client) -> None:
    parts = http.get("/readyz").json()["data"]["parts"]
    assert {"database", "redis", "server"} <= parts.keys()
    assert set(parts.values()) == {"ok"}


def test_the_version_says_what_runs(http: httpx.Client) -> None:
    data = http.get("/version").json()["data"]
    assert re.match(r"^\d+\.\d+\.\d+", data["version"])
    assert data.keys() >= {"version", "revision", "build"}


def test_a_reply_is_an_envelope_with_its_trace_id(http: httpx.Client) -> None:
    reply = http.get("/version")
    body = reply.json()
    assert body.keys() == {"code", "message", "data", "trace_id"}
    assert body["code"] == 20000
    assert body["trace_id"] == reply.headers["X-Trace-ID"]
    assert HEX_32.match(body["trace_id"])


def test_a_trace_id_that_is_sent_is_kept(http: httpx.Client) -> None:
    assert http.get("/livez", headers={"X-Trace-ID": TRACE_ID}).headers["X-Trace-ID"] == TRACE_ID


def test_a_trace_id_that_is_none_is_replaced(http: httpx.Client) -> None:
    reply = http.get("/livez", headers={"X-Trace-ID": "no such thing"})
    assert HEX_32.match(reply.headers["X-Trace-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, 40004), ("DELETE", "/livez", 405, 40008)],
)
def test_an_error_is_an_envelope_with_the_true_status(
    http: httpx.Client, method: str, path: str, status: int, code: int
) -> None:
    reply = http.request(method, path)
    assert reply.status_code == status
    assert reply.json()["code"] == code
    assert reply.json()["trace_id"] == reply.headers["X-Trace-ID"]


def test_messages_are_in_the_language_that_is_asked_for(http: httpx.Client) -> None:
    english = http.get("/nowhere", headers={"Accept-Language": "en"}).json()["message"]
    chinese = http.get("/nowhere", headers={"Accept-Language": "zh-CN"}).json()["message"]
    assert english.isascii()
    assert not chinese.isascii()


def test_the_headers_that_protect_are_on_every_reply(http: httpx.Client) -> None:
    for path in ("/livez", "/nowhere"):
        headers = http.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" in headers


def test_nothing_tells_the_time_that_a_reply_took(http: httpx.Client) -> None:
    assert not [name for name in http.get("/livez").headers if "time" in name.lower()]


def test_the_operations_page_came_with_its_templates_and_its_stylesheet(http: httpx.Client) -> None:
    page = http.get("/ops/login")
    assert page.status_code == 200
    stylesheet = re.search(r'href="(/ops/assets/[^"]+\.css)"', page.text)
    assert stylesheet is not None
    assert http.get(stylesheet[1]).headers["content-type"].startswith("text/css")
