"""Everybody who may knock at a door, and a valid request for every route."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
from fastapi import FastAPI

from internal.infra.database import DATABASE_AWAY
from tests.security.accounts import PASSWORD, Person, Replica, make_job

ROLES = ("nobody", "user", "other", "admin", "disabled", "scopeless", "scoped")
CLIENTS = ("scopeless", "scoped")

_numbers = count()


@dataclass(frozen=True)
class Callers:
    """A service, and those who call it: users, logged in, and API clients.

    The routes with an object in their path are asked for `user`'s account, for a new job of
    `user`'s, for the client `target` and for the webhook endpoint.
    """

    service: Replica
    people: Mapping[str, Person]

    async def call(self, role: str, route: str, **more: Any) -> httpx.Response:
        """Sends the route its valid request."""
        method, path = route.split(" ")
        path = filled(
            path,
            user_id=self.service.populated.ids["user"],
            client_id=self.service.populated.keys["target"].client_id,
            endpoint_id=self.service.populated.endpoint.client_id,
            name="swagger-ui.css",
            job_id=await self.job_for(route),
        )
        return await self.send(role, method, path, json=self.body(role, route), **more)

    async def job_for(self, route: str) -> int:
        """One in the status that the route is for: a stream is to end, so its job is finished."""
        if "{job_id}" not in route:
            return 0
        user_id = self.service.populated.ids["user"]
        is_cancelled = route.endswith(("/retry", "/events"))
        try:
            return await make_job(self.service.services, user_id, is_cancelled=is_cancelled)
        except DATABASE_AWAY:
            return 1  # then no route finds out whether there is such a job

    async def send(self, role: str, method: str, path: str, **more: Any) -> httpx.Response:
        if role in CLIENTS:
            more["auth"] = self.service.populated.keys[role].auth
        elif role in self.people:
            more["headers"] = self.people[role].headers | more.get("headers", {})
        return await self.service.http.request(method, path, **more)

    def body(self, role: str, route: str) -> dict[str, object] | None:
        unique = f"new-{next(_numbers)}"
        refresh_token = self.people[role].refresh_token if role in self.people else "none"
        bodies: dict[str, dict[str, object]] = {
            "POST /v1/auth/register": {"username": unique, "password": PASSWORD},
            "POST /v1/auth/login": {"username": "other", "password": PASSWORD},
            "POST /v1/auth/refresh": {"refresh_token": refresh_token},
            "POST /v1/auth/password": {
                "current_password": PASSWORD,
                "new_password": "a new horse and its staple",
            },
            "POST /v1/users": {"username": unique, "password": PASSWORD},
            "PATCH /v1/users/{user_id}": {"display_name": "Ada"},
            "POST /v1/clients": {"name": unique},
            "POST /v1/clients/{client_id}/rotate": {"keep_previous": True},
            "POST /v1/webhook-endpoints": {"url": "https://hooks.example/", "owner": unique},
            "PATCH /v1/webhook-endpoints/{endpoint_id}": {"owner": "Ada"},
            "POST /v1/jobs": {"kind": "maintenance.purge", "payload": {"keep_days": 3650}},
            "POST /v1/internal/audit-events": {
                "action": "invoice.cancel",
                "object_type": "invoice",
                "object_id": unique,
            },
        }
        return bodies.get(route)


async def gather_callers(service: Replica) -> Callers:
    """Logs everybody in, and disables one of them behind the back of their session."""
    await _set_disabled(service, to=None)
    people = {name: await service.login(name) for name in service.populated.ids}
    await _set_disabled(service, to=(await service.rows("users"))[0]["created_at"])
    service.services.sessions.forget_all()
    return Callers(service, people)


async def _set_disabled(service: Replica, *, to: object) -> None:
    await service.set_all(
        "users", where=lambda table: table.c.username == "disabled", disabled_at=to
    )


def filled(path: str, **ids: object) -> str:
    """A route's path with ids in it; those that nobody cares about are 1."""
    return re.sub(r"{(\w+)}", lambda match: str(ids.get(match[1], "1")), path)


def routes_of(app: FastAPI) -> list[str]:
    """`METHOD /path/{of_the_route}`; what has no methods (a mount, a WebSocket) is `ANY`."""
    return [
        f"{method} {getattr(route, 'path', route)}"
        for route in app.routes
        for method in sorted(getattr(route, "methods", None) or ["ANY"])
    ]
