"""What routes ask for: the resources of their app, and the door that they stand behind."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from internal.core.errors import StartError
from internal.services.resources import Resources


def get_resources(request: Request) -> Resources:
    """The resources of the app that serves this request."""
    return resources_of(request.app)


def resources_of(app: FastAPI) -> Resources:
    """What the lifespan of this app has opened."""
    resources: Resources = app.state.resources
    return resources


type ResourcesDep = Annotated[Resources, Depends(get_resources)]


class Door:
    """Who may pass: a dependency of the route or of its router. Every route declares one door."""

    def __init__(self, name: str) -> None:
        self.name = name


class PublicRoute(APIRoute):
    """The door that anybody passes: `APIRouter(route_class=PublicRoute)`.

    A class of route and no dependency, because it has nothing to do at a request.
    """


def require_doors(app: FastAPI) -> None:
    """Refuses an app with a route that nobody decided about: deny by default.

    Raises:
        StartError: naming every route without a door, or with more than one.
    """
    wrong = [
        f"{', '.join(sorted(route.methods or ()))} {route.path}".strip()
        for route in iter_route_contexts(app.routes)
        if _count_doors(route.original_route) != 1
    ]
    if wrong:
        raise StartError(f"routes: exactly one door must be declared by: {'; '.join(wrong)}")


def _count_doors(route: BaseRoute) -> int:
    return isinstance(route, PublicRoute) + len(_doors(getattr(route, "dependant", None)))


def _doors(dependant: Dependant | None) -> list[Door]:
    """The doors among a route's dependencies; a route without dependencies (a mount) has none."""
    if dependant is None:
        return []
    call: object = dependant.call
    here = [call] if isinstance(call, Door) else []
    return here + [door for below in dependant.dependencies for door in _doors(below)]
