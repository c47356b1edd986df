"""The service as it ships, with routes that are only measured with. `python …`."""

import asyncio
import time

from fastapi import APIRouter

from internal import app, server
from internal.config.load_config import load_config
from internal.config.settings import Settings
from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import LimitedPublicRoute
from internal.core.envelope import Envelope
from internal.dao.users import UserDAO
from internal.infra.metrics_sharing import Sharing
from internal.schemas.users import UserView
from tests.benchmarks.shapes import Thing

public = APIRouter(route_class=LimitedPublicRoute)


@public.get("/hello")
async def hello() -> Envelope[dict[str, str]]:
    return Envelope(data={"message": "hello"})


@public.post("/things")
async def post_thing(thing: Thing) -> Envelope[Thing]:
    return Envelope(data=thing)


@public.get("/people/{user_id}")
async def get_person(user_id: int, resources: ResourcesDep) -> Envelope[UserView]:
    async with resources.unit_of_work.read() as session:
        return Envelope(data=UserView.of(await UserDAO(session).get(user_id)))


@public.get("/longest-stall")
async def longest_stall(seconds: float) -> Envelope[float]:
    """By how many milliseconds the loop was late at most, within so many seconds."""
    longest, end = 0.0, time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    return Envelope(data=longest * 1000)


def create_app(settings: Settings, *, sharing: Sharing) -> app.Service:
    return app.create_app(settings, (*app.ROUTERS, public), sharing=sharing)


if __name__ == "__main__":
    server.create_app = create_app  # type: ignore[attr-defined,assignment] # what serve() calls
    server.serve(load_config().settings)
