"""Without the database nobody is let in and nobody is told a wrong 401; without Redis no login."""

from collections.abc import AsyncGenerator, Generator
from functools import partial

import pytest

from internal.services.passwords import PasswordHasher
from tests.security.accounts import FAST, HASHER, PASSWORD, Populated, bearer, populate
from tests.security.callers import ROLES, Callers, gather_callers
from tests.security.replicas.conftest import ServeOn
from tests.security.test_authorization import TABLE
from tests.servers import DATABASES, DatabaseServer, Redis, require

pytestmark = pytest.mark.anyio

# Who may pass where not everybody may.
PERMITTED = [
    (role, route)
    for route, statuses in TABLE.items()
    for role, status in zip(ROLES, statuses, strict=True)
    if statuses[0] == 401 and status < 400
]
NEEDS_NO_ROW = {"GET /v1/internal/whoami"}


@pytest.fixture(params=DATABASES, ids=lambda server: server.name)
def mortal_database(request: pytest.FixtureRequest) -> Generator[DatabaseServer]:
    require(request.param)
    with request.param() as server:
        yield server


@pytest.fixture
def mortal_redis() -> Generator[Redis]:
    require(Redis)
    with Redis() as server:
        yield server


@pytest.fixture
def on_mortals(
    mortal_database: DatabaseServer,
    mortal_redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Populated:
    parts = {**mortal_database.environment(), "REDIS_MODE": "server", **mortal_redis.environment()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HASHER, partial(PasswordHasher, cost=FAST))
        return populate(tmp_path_factory.mktemp("on-mortals"), parts)


@pytest.fixture
async def callers(on_mortals: Populated, serve_on: ServeOn) -> AsyncGenerator[Callers]:
    async with serve_on(on_mortals) as service:
        yield await gather_callers(service)


async def assert_is_503(callers: Callers, role: str, route: str) -> None:
    reply = await callers.call(role, route)
    assert (reply.status_code, reply.json()["code"]) == (503, 50003), (role, route)
    assert reply.json()["data"] is None


async def test_without_the_database_every_protected_route_is_503_until_it_is_back(
    callers: Callers, mortal_database: DatabaseServer
) -> None:
    service = callers.service
    mortal_database.kill()
    for role, route in PERMITTED:
        if route not in NEEDS_NO_ROW:  # while who calls is remembered
            await assert_is_503(callers, role, route)
    service.services.sessions.forget_all()
    for key in service.populated.keys.values():
        service.services.signed_requests.forget(key.client_id)
    for role, route in PERMITTED:
        await assert_is_503(callers, role, route)
    for password in (PASSWORD, "wrong horse battery staple"):
        for _ in range(6):  # no verdict, no failure
            assert (await service.try_login("user", password)).status_code == 503
    refresh_token = callers.people["other"].refresh_token
    assert (await service.try_refresh(refresh_token)).status_code == 503
    reply = await service.http.get("/v1/auth/me", headers=bearer("no token"))
    assert reply.status_code == 401

    mortal_database.start()
    for role in ("user", "admin"):
        assert await service.me(callers.people[role].access_token) == 200
    assert (await callers.call("scoped", "GET /v1/internal/whoami")).status_code == 200
    assert (await service.try_refresh(refresh_token)).status_code == 200
    assert (await service.try_login("user")).status_code == 200


async def test_without_redis_there_is_no_login_and_everything_else_until_it_is_back(
    callers: Callers, mortal_redis: Redis
) -> None:
    service = callers.service
    mortal_redis.kill()
    for password in (PASSWORD, "wrong horse battery staple"):
        reply = await service.try_login("user", password)
        assert (reply.status_code, reply.json()["code"]) == (503, 50003)
    assert (await callers.call("user", "POST /v1/auth/password")).status_code == 503
    assert (await callers.call("scoped", "GET /v1/internal/whoami")).status_code == 503
    assert (await callers.call("user", "GET /v1/auth/me")).status_code == 200
    assert (await callers.call("user", "POST /v1/auth/refresh")).status_code == 200
    assert (await callers.call("nobody", "POST /v1/auth/register")).status_code == 201

    mortal_redis.start()
    assert (await service.try_login("user")).status_code == 200
    assert (await callers.call("scoped", "GET /v1/internal/whoami")).status_code == 200
