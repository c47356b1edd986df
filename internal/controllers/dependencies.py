"""What routes ask for: the resources of their app."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from internal.services.resources import Resources


async def get_resources(request: Request) -> Resources:
    """The resources of the app that serves this request.

    A coroutine, though nothing is awaited: FastAPI runs plain functions in a thread.
    """
    return resources_of(request.app)


def resources_of(app: FastAPI) -> Resources:
    """What the lifespan of this app has opened."""
    resources: Resources = app.state.resources
    return resources


type ResourcesDep = Annotated[Resources, Depends(get_resources)]
