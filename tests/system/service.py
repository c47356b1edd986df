"""The `groundwork` command with routes to be in the middle of. `python -m …`."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import text

from internal import app, cli, server
from internal.config.settings import Settings
from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import PublicRoute
from internal.core.envelope import Envelope
from internal.infra.metrics_sharing import Sharing

router = APIRouter(route_class=PublicRoute)


class Person(BaseModel):
    name: str = Field(min_length=1)


@router.post("/people")
async def people(person: Person) -> Envelope[str]:
    return Envelope(data=person.name)


@router.post("/raw")
async def raw(request: Request) -> Envelope[int]:
    return Envelope(data=len(await request.body()))


@router.get("/number/{number}")
async def number(number: int) -> Envelope[int]:
    return Envelope(data=number)


@router.get("/smuggled")
async def smuggled() -> Envelope[None]:
    return Envelope(data=None)


@router.get("/pid")
async def pid() -> Envelope[int]:
    return Envelope(data=os.getpid())


@router.get("/database")
async def database(resources: ResourcesDep) -> Envelope[int]:
    async with resources.unit_of_work.begin() as session:
        return Envelope(data=await session.scalar(text("SELECT 1")) or 0)


@router.get("/redis")
async def redis(resources: ResourcesDep) -> Envelope[bool]:
    return Envelope(data=bool(await resources.redis.ping()))


@router.get("/held/{name}")
async def held(name: str, resources: ResourcesDep) -> Envelope[str]:
    await hold(resources.settings.data_dir, name)
    return Envelope(data=name)


@router.get("/held-stream/{name}")
async def held_stream(name: str, resources: ResourcesDep) -> StreamingResponse:
    async def pieces() -> AsyncGenerator[str]:
        yield "first,"
        await hold(resources.settings.data_dir, name)
        yield "last"

    return StreamingResponse(pieces(), media_type="text/plain")


async def hold(folder: Path, name: str) -> None:
    """Says that it was entered and waits to be let go; files, so that any process can do it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.entered").touch()
    while not (folder / f"{name}.released").exists():
        await asyncio.sleep(0.02)


def create_app(settings: Settings, sharing: Sharing = app.ALONE) -> app.Service:
    return app.create_app(settings, (*app.ROUTERS, router), sharing=sharing)


def main() -> None:
    server.create_app = create_app  # type: ignore[attr-defined,assignment] # serve() calls it
    cli.main()


if __name__ == "__main__":
    # Under its own name: that is how worker processes find `create_app` again.
    from tests.system import service

    service.main()
