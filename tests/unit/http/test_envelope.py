"""Every reply is in the envelope, whoever made it."""

import re
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from internal.controllers.doors import PublicRoute
from tests.conftest import MakeSettings
from tests.unit.http.routes import AWAY, every_way
from tests.unit.http.serving import Exchange, Lines, public_router, serving

pytestmark = pytest.mark.anyio


def expect(reply: httpx.Response, status: int, code: int, message: str) -> object:
    """Checks the envelope; returns its data."""
    body = reply.json()
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    assert list(body) == ["code", "message", "data", "trace_id"]
    assert (body["code"], body["message"]) == (code, message)
    assert body["trace_id"] == reply.headers["x-trace-id"]
    return body["data"]


async def test_a_success_has_code_20000_and_the_trace_id(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        assert expect(await served.http.get("/ok"), 200, 20000, "ok") == "fine"
        created = await served.http.post("/accounts", json={"name": "Ada"})
        assert expect(created, 201, 20000, "ok") == "Ada"


async def test_an_unknown_path_is_404(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        for path in ("/", "/nope", "/ok/", "//ok", "/%00", "/.env", "/accounts/1/2"):
            assert expect(await served.http.get(path), 404, 40004, "not found") is None


async def test_a_wrong_method_is_405_and_allow_names_the_methods_of_every_route_at_the_path(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(), every_way()) as served:
        for method, path, allow in (
            ("POST", "/ok", "GET"),
            ("PUT", "/accounts", "GET, POST"),
            ("POST", "/livez", "GET, HEAD"),
            ("OPTIONS", "/raw", "POST"),
            ("HUNT", "/raw", "POST"),
        ):
            reply = await served.http.request(method, path)
            assert expect(reply, 405, 40008, "method not allowed") is None
            assert reply.headers["allow"] == allow


async def test_a_service_error_carries_its_data(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.get("/conflict")
        assert expect(reply, 409, 40009, "conflict") == {"name": "taken"}


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (400, 400, 40000),
        (401, 401, 40001),
        (403, 403, 40003),
        (404, 404, 40004),
        (408, 408, 40800),
        (409, 409, 40009),
        (413, 413, 40005),
        (415, 415, 40015),
        (422, 422, 40006),
        (429, 429, 40029),
        (500, 500, 50000),
        (503, 503, 50003),
        (504, 504, 50004),
        (418, 400, 40000),
        (507, 500, 50000),
    ],
)
async def test_a_bare_status_of_a_framework_becomes_the_error_of_that_status(
    make_settings: MakeSettings, raised: int, status: int, code: int
) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.get(f"/http-error/{raised}")
    assert reply.status_code == status
    assert reply.json()["code"] == code
    assert "framework" not in reply.text
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize("part", AWAY)
async def test_a_database_or_a_redis_that_is_away_is_503_and_logged_without_a_traceback(
    make_settings: MakeSettings, lines: Lines, part: str
) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.get(f"/away/{part}")
        assert expect(reply, 503, 50003, "temporarily unavailable") is None
        (line,) = lines.at("ERROR")
        assert line["trace_id"] == reply.json()["trace_id"]
        assert line["message"] == "a dependency is unavailable"
        assert "exception" not in line


async def test_an_unexpected_exception_is_500_and_says_nothing_but_its_trace_id(
    make_settings: MakeSettings, lines: Lines
) -> None:
    settings = make_settings(BACKEND_CORS_ORIGINS="https://app.example")
    async with serving(settings, every_way()) as served:
        reply = await served.http.get("/crash", headers={"Origin": "https://app.example"})
        assert expect(reply, 500, 50000, "internal error") is None
        assert re.fullmatch(
            r'\{"code":50000,"message":"internal error","data":null,"trace_id":"[0-9a-f]{32}"\}',
            reply.text,
        )
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
        (line,) = lines.at("ERROR")
        assert line["trace_id"] == reply.headers["x-trace-id"]
        assert "RuntimeError: the reason" in line["exception"]


class TeapotError(Exception):
    pass


async def make_tea(_request: Request, _error: Exception) -> Response:
    return Response("short and stout", 418)


async def refuse(_request: Request, error: Exception) -> Response:
    raise error


@pytest.mark.parametrize(("handler", "status"), [(make_tea, 418), (refuse, 500)])
@pytest.mark.parametrize("path", ["/teapot", "/teapot/hall"])
async def test_a_handler_that_was_added_is_asked_wherever_it_is_raised(
    make_settings: MakeSettings,
    lines: Lines,
    handler: Callable[[Request, Exception], Coroutine[Any, Any, Response]],
    status: int,
    path: str,
) -> None:
    class RaisingRoute(PublicRoute):
        async def handle(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
            raise TeapotError

    router = public_router()

    @router.get("/teapot")
    async def teapot() -> None:
        raise TeapotError

    router.add_api_route("/teapot/hall", teapot, route_class_override=RaisingRoute)

    async with serving(make_settings(), router) as served:
        served.app.add_exception_handler(TeapotError, handler)
        assert (await served.http.get(path)).status_code == status
        assert len(lines.at("ERROR")) == (status == 500)


async def stumble(_request: Request, _error: Exception) -> Response:
    raise LookupError("a defect of the handler")


async def test_a_defect_of_a_handler_is_what_the_log_tells(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(), every_way()) as served:
        served.app.add_exception_handler(HTTPException, stumble)
        reply = await served.http.get("/no-such-path")
        assert expect(reply, 500, 50000, "internal error") is None
        (line,) = lines.at("ERROR")
    assert "LookupError: a defect of the handler" in line["exception"]
    assert "HTTPException: 404" in line["exception"]


async def test_debug_says_no_more_in_a_500(make_settings: MakeSettings) -> None:
    async with serving(make_settings(DEBUG=True), every_way()) as served:
        reply = await served.http.get("/crash")
        assert expect(reply, 500, 50000, "internal error") is None
        assert "the reason" not in reply.text


async def test_a_reply_that_breaks_half_way_is_logged_once_with_its_trace_id(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(), every_way()) as served:
        exchange = await Exchange(path="/crash-in-the-middle").run(served.app)
        assert exchange.content == b"the start of it"
        (error,) = lines.at("ERROR")
        (access,) = lines.access
        assert error["trace_id"] == access["trace_id"] == exchange.reply_headers["x-trace-id"]


async def test_a_reply_that_breaks_half_way_is_among_the_recent_errors(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(OPS_ENABLED=True), every_way()) as served:
        await Exchange(path="/crash-in-the-middle").run(served.app)
        (recent,) = served.app.state.operations
    assert (recent.route, recent.type) == ("GET /crash-in-the-middle", "RuntimeError")
