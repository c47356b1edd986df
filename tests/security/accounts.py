"""A migrated service with an account of every role, made once and copied for every test."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter
from sqlalchemy import ColumnElement, Table, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.app import ROUTERS, Service
from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import Settings
from internal.controllers.dependencies import resources_of
from internal.core.caller import OPERATOR, Role
from internal.core.clock import utc_now
from internal.infra.metrics import Metrics
from internal.infra.signing import SignedAuth
from internal.lifespan import open_resources
from internal.migrations.runner import migrate
from internal.models.base import Base
from internal.models.job import Job
from internal.schemas.clients import NewClient
from internal.schemas.users import NewUser, UserChange
from internal.schemas.webhooks import NewWebhookEndpoint
from internal.services.assembly import Services
from internal.services.jobs import states
from internal.services.resources import Resources
from tests.unit.http.serving import serving

PASSWORD = "correct horse battery staple"
HASHER = "internal.services.assembly.PasswordHasher"
FAST = 4  # bcrypt's least cost

USERS = {"user": Role.USER, "other": Role.USER, "admin": Role.ADMIN, "disabled": Role.USER}
SCOPES = {"scoped": ["audit:write"], "scopeless": [], "target": []}


@dataclass(frozen=True)
class Key:
    """What an API client signs with."""

    client_id: str
    secret: str

    @property
    def auth(self) -> SignedAuth:
        return SignedAuth(self.client_id, self.secret)


@dataclass(frozen=True)
class Populated:
    """A database with accounts of every role, all with `PASSWORD`, API clients, and an endpoint.

    Args:
        values: the settings that open it; `DATA_DIR` is the test's own.
        ids: of the users.
    """

    folder: Path
    values: Mapping[str, object]
    ids: Mapping[str, int]
    keys: Mapping[str, Key]
    endpoint: Key


EMBEDDED = {"DB_TYPE": "sqlite", "REDIS_MODE": "embedded"}


def populate(folder: Path, parts: Mapping[str, object]) -> Populated:
    """Migrates an empty database and fills it.

    Args:
        parts: the settings of the database and of Redis.
    """
    values = {
        **parts,
        "APP_ENV": "test",
        "JOBS_BACKEND": "embedded",
        "SCHEDULER_ENABLED": False,  # no jobs but those that a test makes
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
        "RATE_LIMIT_DEFAULT": "1000000/minute",
        "RATE_LIMIT_AUTH": "1000000/minute",
    }
    settings = Settings.model_validate({**values, "DATA_DIR": folder})
    migrate(settings)

    async def fill() -> Populated:
        async with AsyncExitStack() as stack:
            services = (await open_resources(settings, stack, Metrics())).services
            return Populated(
                folder,
                values,
                await _make_users(services),
                await _make_keys(services),
                await _make_endpoint(services),
            )

    return asyncio.run(fill())


async def _make_users(services: Services) -> dict[str, int]:
    ids: dict[str, int] = {}
    for name, role in USERS.items():
        new = NewUser.model_validate({"username": name, "password": PASSWORD, "role": role})
        password_hash = await services.users.password_hash(OPERATOR, new)
        async with services.unit_of_work.begin() as session:
            ids[name] = (await services.users.create(session, OPERATOR, new, password_hash)).id
    await services.users.update(OPERATOR, ids["disabled"], UserChange(disabled=True))
    return ids


async def make_job(services: Services, owner_id: int, *, is_cancelled: bool = False) -> int:
    """A job that waits until tomorrow, or has been cancelled; its kind is one of admins."""
    job = Job(
        kind="maintenance.purge",
        queue="default",
        owner_id=owner_id,
        trace_id="0" * 32,
        payload={},
        max_attempts=5,
        next_run_at=utc_now() + timedelta(days=1),
    )
    async with services.unit_of_work.begin(owner_id) as session:
        await states.enqueue(session, job)
        if is_cancelled:
            await states.cancel(session, job)
    return job.id


async def _make_keys(services: Services) -> dict[str, Key]:
    keys: dict[str, Key] = {}
    for name, scopes in SCOPES.items():
        async with services.unit_of_work.begin() as session:
            new = NewClient(name=name, scopes=scopes)
            client, secret = await services.clients.create(session, OPERATOR, new)
            keys[name] = Key(client.client_id, secret)
    return keys


async def _make_endpoint(services: Services) -> Key:
    """A webhook endpoint, and what it verifies signatures with."""
    new = NewWebhookEndpoint(url="https://hooks.example/target", owner="target")
    async with services.unit_of_work.begin() as session:
        endpoint, secret = await services.webhook_endpoints.create(session, OPERATOR, new)
        return Key(endpoint.client_id, secret)


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.access_token)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Replica:
    """A process of the service, and what a test asks of it."""

    app: Service
    http: httpx.AsyncClient
    populated: Populated

    @cached_property
    def resources(self) -> Resources:
        return resources_of(self.app)

    @property
    def services(self) -> Services:
        return self.resources.services

    @property
    def database(self) -> AsyncEngine:
        return self.resources.database

    async def try_login(
        self, username: str = "user", password: str = PASSWORD, address: str | None = None
    ) -> httpx.Response:
        """A login; from an address where the settings trust the test's own as a proxy."""
        headers = {"X-Forwarded-For": address} if address else None
        body = {"username": username, "password": password}
        return await self.http.post("/v1/auth/login", json=body, headers=headers)

    async def register(self, username: str) -> None:
        body = {"username": username, "password": PASSWORD}
        reply = await self.http.post("/v1/auth/register", json=body)
        assert reply.status_code == 201, reply.text

    async def login(self, username: str = "user", password: str = PASSWORD) -> Person:
        return person(await self.try_login(username, password))

    async def try_refresh(self, refresh_token: str) -> httpx.Response:
        return await self.http.post("/v1/auth/refresh", json={"refresh_token": refresh_token})

    async def me(self, access_token: str) -> int:
        """The status of asking who one is."""
        return (await self.http.get("/v1/auth/me", headers=bearer(access_token))).status_code

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row, by id."""
        found = self._table(table)
        async with self.database.connect() as connection:
            rows = await connection.execute(select(found).order_by(found.c.id))
            return [dict(row) for row in rows.mappings()]

    async def set_all(
        self,
        table: str,
        where: Callable[[Table], ColumnElement[bool]] = lambda table: table.c.id > 0,
        **values: object,
    ) -> None:
        """Changes rows behind the service's back, as time would."""
        async with self.database.begin() as connection:
            changed = self._table(table)
            await connection.execute(update(changed).where(where(changed)).values(values))

    async def events(self) -> list[dict[str, Any]]:
        return await self.rows("audit_events")

    def _table(self, name: str) -> Table:
        return Base.metadata.tables[name]


def person(reply: httpx.Response) -> Person:
    assert reply.status_code == 200, reply.text
    data = reply.json()["data"]
    return Person(data["access_token"], data["refresh_token"])


def own_copy(populated: Populated, folder: Path) -> Path:
    """A data folder of the test's own."""
    return Path(shutil.copytree(populated.folder, folder))


def settings_of(populated: Populated, data_dir: Path, **overrides: object) -> Settings:
    """The settings of one more process on a copy."""
    return Settings.model_validate({**populated.values, "DATA_DIR": data_dir, **overrides})


@asynccontextmanager
async def replica(
    populated: Populated, settings: Settings, *more: APIRouter
) -> AsyncGenerator[Replica]:
    async with serving(settings, *ROUTERS, *more) as served:
        yield Replica(served.app, served.http, populated)
