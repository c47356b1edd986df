import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from internal.app import Service
from internal.core.envelope import Envelope
from internal.infra.database import DATABASE_AWAY
from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, Lines, public_router, serving

pytestmark = pytest.mark.anyio

SHORT = 0.2


class Slow:
    """Routes that take longer than the limit, each in its own way; `cleaned` when cut short."""

    def __init__(self) -> None:
        self.cleaned = asyncio.Event()
        self.router: APIRouter = public_router()
        for name in ("sleeps", "reads", "swallows", "streams", "awaits_a_part"):
            self.router.add_api_route(
                f"/{name}", getattr(self, name), methods=["POST"], response_model=None
            )

    async def sleeps(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            self.cleaned.set()

    async def reads(self, request: Request) -> Envelope[int]:
        return Envelope(data=len(await request.body()))

    async def swallows(self) -> Envelope[str]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return Envelope(data="finished after all")

    async def streams(self) -> StreamingResponse:
        async def pieces() -> AsyncGenerator[bytes]:
            for _ in range(6):
                await asyncio.sleep(SHORT / 2)
                yield b"piece "

        return StreamingResponse(pieces())

    async def awaits_a_part(self) -> None:
        async with asyncio.timeout(SHORT / 4):
            await asyncio.sleep(60)


async def post(app: Service, path: str) -> Exchange:
    return await Exchange("POST", path).run(app)


async def test_a_slow_route_is_504_and_its_work_is_cut_short(
    make_settings: MakeSettings, lines: Lines
) -> None:
    slow = Slow()
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), slow.router) as served:
        reply = await served.http.post("/sleeps", headers={"Accept-Language": "zh"})
        assert reply.status_code == 504
        assert reply.json() == {
            "code": 50004,
            "message": "服务处理超时",
            "data": None,
            "trace_id": reply.headers["x-trace-id"],
        }
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert slow.cleaned.is_set()
        assert [line["status"] for line in lines.access] == [504]
        assert lines.at("ERROR") == []


async def test_a_slow_body_is_408_and_closes_the_connection(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), Slow().router) as served:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            await asyncio.sleep(SHORT / 4)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/reads",
            "raw_path": b"/reads",
            "query_string": b"",
            "headers": [(b"content-length", b"1000")],
            "client": ("203.0.113.9", 1),
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
        }
        await served.app(scope, receive, send)
        exchange = Exchange(sent=sent)
        assert exchange.status == 408
        assert exchange.envelope["code"] == 40800
        assert exchange.reply_headers["connection"] == "close"
        assert [line["status"] for line in lines.access] == [408]


async def test_a_stream_that_has_started_is_not_cut(make_settings: MakeSettings) -> None:
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), Slow().router) as served:
        exchange = await post(served.app, "/streams")
        assert exchange.content == b"piece " * 6


async def test_a_route_that_swallows_its_cancellation_ends_with_its_own_reply(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), Slow().router) as served:
        reply = await served.http.post("/swallows")
        assert reply.status_code == 200
        assert reply.json()["data"] == "finished after all"
        assert lines.at("ERROR") == []
        assert (await served.http.get("/livez")).status_code == 200


async def test_a_timeout_of_the_routes_own_is_its_own_business(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(), Slow().router) as served:
        assert (await post(served.app, "/awaits_a_part")).status == 500


async def test_many_slow_requests_all_end_and_none_is_kept(make_settings: MakeSettings) -> None:
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), Slow().router) as served:
        before = len(asyncio.all_tasks())
        exchanges = await asyncio.gather(*(post(served.app, "/sleeps") for _ in range(50)))
        assert {exchange.status for exchange in exchanges} == {504}
        assert len(asyncio.all_tasks()) == before


async def test_a_fast_request_is_left_alone(make_settings: MakeSettings) -> None:
    async with serving(make_settings(REQUEST_TIMEOUT_SECONDS=SHORT), every_way()) as served:
        for _ in range(4):
            assert (await served.http.get("/ok")).status_code == 200
            await asyncio.sleep(SHORT / 2)


async def test_a_request_that_is_cancelled_by_a_stop_is_503(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(), Slow().router) as served:
        exchange = Exchange("POST", "/sleeps")
        task = asyncio.create_task(exchange.run(served.app))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert exchange.status == 503
        assert exchange.envelope["code"] == 50003
        assert [line["status"] for line in lines.access] == [503]
        assert lines.at("ERROR") == []


def test_a_timeout_is_no_database_that_is_away() -> None:
    assert not any(issubclass(TimeoutError, away) for away in DATABASE_AWAY)
