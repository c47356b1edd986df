"""The service as it ships, with the yardstick's route behind everything it has. `python … `."""

import functools

from fastapi import APIRouter

from internal import app, server
from internal.config.load_config import load_config
from internal.controllers.doors import PublicRoute
from internal.core.envelope import Envelope

router = APIRouter(route_class=PublicRoute)


@router.get("/hello")
async def hello() -> Envelope[dict[str, str]]:
    return Envelope(data={"message": "hello"})


if __name__ == "__main__":
    server.create_app = functools.partial(app.create_app, routers=(*app.ROUTERS, router))
    server.serve(load_config().settings)
