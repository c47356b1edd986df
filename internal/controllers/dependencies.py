"""What routes ask for: the resources of their app, and the door that they stand behind."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from internal.core.errors import StartError
from internal.services.resources import Resources


def get_resources(request: Request) -> Resources:
    """The resources of the app that serves this request."""
    resources: Resources = request.app.state.resources
    return resources


type ResourcesDep = Annotated[Resources, Depends(get_resources)]


class Door:
    """Who may pass. Every route declares one, as a dependency of its own or of its router."""

    def __init__(self, name: str) -> None:
        self.name = name


class PublicDoor(Door):
    """Anybody."""

    async def __call__(self) -> None:
        return None


PUBLIC = Depends(PublicDoor("public"))


def require_doors(app: FastAPI) -> None:
    """Refuses an app with a route that nobody decided about: deny by default.

    Raises:
        StartError: naming every route without a door, or with more than one.
    """
    wrong = [
        f"{', '.join(sorted(route.methods or ()))} {route.path}".strip()
        for route in iter_route_contexts(app.routes)
        if len(_doors(getattr(route, "dependant", None))) != 1
    ]
    if wrong:
        raise StartError(f"routes: exactly one door must be declared by: {'; '.join(wrong)}")


def _doors(dependant: Dependant | None) -> list[Door]:
    """The doors among a route's dependencies; a route without dependencies (a mount) has none."""
    if dependant is None:
        return []
    call: object = dependant.call
    here = [call] if isinstance(call, Door) else []
    return here + [door for below in dependant.dependencies for door in _doors(below)]
