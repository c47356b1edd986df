"""A router with one route for each way that a request can go."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field, field_validator
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from internal.core.envelope import Envelope
from internal.core.errors import Conflict
from tests.unit.http.serving import public_router


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Account(BaseModel):
    name: str = Field(min_length=3)
    age: int = Field(ge=18, default=18)
    password: str = Field(default="x" * 12, min_length=12, max_length=20)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    nickname: str = "nick"

    @field_validator("nickname")
    @classmethod
    def _is_ours(cls, value: str) -> str:
        if value == "admin":
            raise ValueError("is taken")
        return value


AWAY: dict[str, Exception] = {
    "operational": OperationalError("SELECT 1", {}, Exception("server has gone away")),
    "interface": InterfaceError("SELECT 1", {}, Exception("connection closed")),
    "pool": PoolTimeout("no connection"),
    "redis": RedisConnectionError("Connection refused"),
    "redis-timeout": RedisTimeout("no answer"),
}


def every_way() -> APIRouter:  # noqa: C901 - a list of small routes
    router = public_router()

    @router.get("/ok")
    async def ok() -> Envelope[str]:
        return Envelope(data="fine")

    @router.post("/accounts", status_code=201)
    async def create(account: Account) -> Envelope[str]:
        return Envelope(data=account.name)

    @router.get("/accounts")
    async def accounts(limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Envelope[int]:
        return Envelope(data=limit)

    @router.get("/accounts/{account_id}")
    async def account(account_id: int) -> Envelope[int]:
        return Envelope(data=account_id)

    @router.post("/anything")
    async def anything(body: Annotated[Any, Body()]) -> Envelope[int]:
        return Envelope(data=1)

    @router.post("/raw")
    async def raw(request: Request) -> Envelope[int]:
        return Envelope(data=len(await request.body()))

    @router.get("/large")
    async def large() -> Envelope[str]:
        return Envelope(data="x" * 5000)

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(_pieces(), media_type="text/plain")

    @router.get("/own-headers")
    async def own_headers() -> PlainTextResponse:
        return PlainTextResponse("x", headers={"Cache-Control": "public, max-age=60"})

    @router.get("/conflict")
    async def conflict() -> None:
        raise Conflict({"name": "taken"})

    @router.get("/http-error/{status}")
    async def http_error(status: int) -> None:
        raise HTTPException(status, "the framework's own detail", {"Retry-After": "7"})

    @router.get("/away/{part}")
    async def away(part: str) -> None:
        raise AWAY[part]

    @router.get("/crash")
    async def crash() -> None:
        raise RuntimeError("the reason, with a detail nobody outside may read")

    @router.get("/crash-in-the-middle")
    async def crash_in_the_middle() -> StreamingResponse:
        return StreamingResponse(_broken_pieces(), media_type="text/plain")

    return router


async def _pieces() -> AsyncGenerator[str]:
    for _ in range(4):
        await asyncio.sleep(0.1)
        yield "piece "


async def _broken_pieces() -> AsyncGenerator[str]:
    yield "the start of it"
    raise RuntimeError("half-way")
