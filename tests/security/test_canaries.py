"""The secrets of a running process come out nowhere: a flock of canaries, and a search for them."""

import base64
import dataclasses
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from internal.config.secrets import Keyring
from internal.core.errors import StartError
from internal.infra.database import create_engine
from internal.infra.redis import create_client
from internal.schemas.auth import PasswordChange, RefreshRequest, TokenPair
from internal.schemas.clients import ClientSecret
from internal.schemas.webhooks import WebhookEndpointSecret
from internal.services.idempotency import Outcome, RequestIdentity
from internal.services.sessions import Tokens
from internal.services.signed_requests import SigningClient
from tests.conftest import MakeSettings
from tests.security.accounts import Populated
from tests.security.callers import ROLES, Callers, filled, gather_callers, routes_of
from tests.security.canaries import Canaries
from tests.security.conftest import Serve
from tests.security.crashes import crashing
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio

SHOWN_ONCE = ("access_token", "refresh_token", "secret")


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def plant_what_is_shown(canaries: Canaries, reply: httpx.Response) -> bool:
    """Whether this reply has given somebody a secret of their own; then it is planted."""
    if not reply.content or reply.headers["content-type"] != "application/json":
        return False
    data = reply.json().get("data")
    shown = [data[name] for name in SHOWN_ONCE if name in data] if isinstance(data, dict) else []
    for secret in shown:  # of a JWT its signature: all headers begin alike
        canaries.plant(f"shown by {reply.request.url.path}", secret.rpartition(".")[2])
    return bool(shown)


def plant_people(canaries: Canaries, callers: Callers) -> None:
    for name, someone in callers.people.items():
        canaries.plant(f"{name}'s access token", someone.access_token.rpartition(".")[2])
        canaries.plant(f"{name}'s refresh token", someone.refresh_token)
    for name, key in callers.service.populated.keys.items():
        canaries.plant(f"{name}'s secret", key.secret)
    canaries.plant("the endpoint's secret", callers.service.populated.endpoint.secret)


async def knock(callers: Callers, route: str, secret: str) -> AsyncGenerator[httpx.Response]:
    """Asks a route as everybody, and then in every way that puts a secret into the wrong place."""
    for role in ROLES:
        yield await callers.call(role, route)
    method, path = route.split(" ")
    path = filled(path, client_id="x", name="swagger-ui.css")
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    wrong: list[Any] = [
        {"password": [secret], "current_password": {secret: secret}, "username": {"x": secret}},
        {"refresh_token": secret * 9, "new_password": secret[:11], "name": [secret]},
        {"role": secret, "scopes": secret, "disabled": secret, "keep_previous": secret},
        {"action": secret, "object_type": secret, "object_id": [secret], "details": secret},
        {"kind": secret, "payload": {secret: secret}, "run_at": secret},
        [secret],
        secret,
    ]
    for body in wrong:
        for role in ("user", "admin"):
            yield await callers.send(role, method, path, json=body)
    for headers in (
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Bearer {secret}"},
        {"Cookie": f"session={secret}", "X-Api-Key": secret, "Accept-Language": secret},
        {"X-Signature": secret, "X-Client-Id": secret, "X-Nonce": secret, "X-Timestamp": secret},
        {"Idempotency-Key": secret, "X-Trace-ID": secret, "traceparent": secret},
    ):
        yield await callers.send("nobody", method, path, headers=headers)
    yield await callers.send("admin", method, path, params={"token": secret, "page": secret})
    yield await callers.send("admin", method, f"{path}/{secret}")


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_secret_is_in_any_reply_or_any_line_whatever_happens(
    serve: Serve,
    populated: Populated,
    canaries: Canaries,
    capsysbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
    log_format: str,
) -> None:
    settings: dict[str, object] = {
        **canaries.settings(),
        "AES_SECRET_PREVIOUS": populated.values["AES_SECRET"],
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": log_format,
        "LOG_DIR": tmp_path / "logs",
        "DEBUG": True,
    }
    canaries.plant("AES_SECRET_PREVIOUS", str(populated.values["AES_SECRET"]))
    in_use = canaries.plant("in use")
    async with serve(crashing(in_use), **settings) as service:
        callers = await gather_callers(service)
        plant_people(canaries, callers)
        password = {"username": "canary", "password": canaries.plant("a password")}
        reply = await callers.send("nobody", "POST", "/v1/auth/register", json=password)
        assert reply.status_code == 201
        silent = [
            reply
            for route in routes_of(service.app)
            async for reply in knock(callers, route, password["password"])
            if not plant_what_is_shown(canaries, reply)
        ]
    out, err = capsysbinary.readouterr()
    files = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    crashes = {reply.request.url.path for reply in silent if reply.status_code == 500}
    assert crashes == {
        f"/crash/{way}" for way in ("locals", "message", "database", "reply", "request", "value")
    }
    assert out.count(b"Traceback (most recent call last)") >= len(crashes)
    assert out.count(b"sqlalchemy.engine") > 100
    assert len(files) > 100_000
    for name, output in {"stdout": out, "stderr": err, "files": files}.items():
        assert canaries.found_in(output) == [], name
    for reply in silent:
        told = [str(reply.status_code), repr(reply.headers.multi_items()), reply.text]
        assert canaries.found_in("\n".join(told)) == [], reply.request.url


def fields_of(thing: object) -> Iterator[object]:
    """A dataclass and everything in it."""
    yield thing
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            yield from fields_of(getattr(thing, field.name))


async def test_no_secret_is_in_the_repr_of_anything_that_is_open(
    serve: Serve, populated: Populated, canaries: Canaries
) -> None:
    canaries.plant("AES_SECRET_PREVIOUS", str(populated.values["AES_SECRET"]))
    previous = populated.values["AES_SECRET"]
    async with serve(**canaries.settings(), AES_SECRET_PREVIOUS=previous) as service:
        plant_people(canaries, await gather_callers(service))
        resources = service.resources
        inner = [vars(thing) for thing in vars(resources.services).values()]
        things = [*fields_of(resources), *inner, vars(service.app), service.app.state._state]
        assert len(things) > 20
        for thing in things:
            for text in (repr(thing), str(thing), f"{thing}"):
                assert canaries.found_in(text) == [], type(thing)


def test_no_secret_is_in_the_repr_of_the_settings_or_of_what_is_made_of_them(
    make_settings: MakeSettings, canaries: Canaries
) -> None:
    settings = make_settings(
        **canaries.settings(),
        DB_TYPE="mysql",
        DB_HOST="db",
        DB_USERNAME="groundwork",
        DB_DATABASE="groundwork",
        REDIS_MODE="server",
        REDIS_HOST="redis",
    )
    engine = create_engine(settings)
    for thing in (
        *(settings, settings.model_dump(), settings.model_dump(mode="json"), vars(settings)),
        *(
            settings.model_dump_json(),
            settings.model_copy(),
            list(settings),
        ),
        *(engine, engine.url, engine.pool, create_client(settings, connections=1, timeout=1)),
        Keyring.parse(canaries.planted["AES_SECRET"]),
    ):
        assert canaries.found_in(f"{thing!r} {thing}") == [], type(thing)


def test_no_secret_is_in_the_repr_of_what_carries_it_through_the_house(canaries: Canaries) -> None:
    one, two = canaries.plant("one"), canaries.plant("two")
    client = {
        "id": 1,
        "client_id": "gw_1",
        "name": "x",
        "scopes": [],
        "secrets": 1,
        "revoked": False,
        "created_at": "2026-01-01T00:00:00Z",
    }
    endpoint = {
        "id": 1,
        "url": "https://hooks.example/",
        "owner": "x",
        "client_id": "1",
        "disabled": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    for thing in (
        Tokens(one, 1, two, 1),
        TokenPair(access_token=one, expires_in=1, refresh_token=two, refresh_expires_in=1),
        RefreshRequest(refresh_token=one),
        PasswordChange.model_validate({"current_password": one, "new_password": two}),
        ClientSecret.model_validate({"client": client, "secret": one}),
        WebhookEndpointSecret.model_validate({"endpoint": endpoint, "secret": one}),
        SigningClient(1, frozenset(), (one.encode(), two.encode())),
        RequestIdentity("user:1", "POST", "/v1/users", "key", one.encode()),
        Outcome({"secret": one}, is_replay=False),
    ):
        assert canaries.found_in(f"{thing!r} {thing}") == [], type(thing)


@pytest.mark.parametrize("away", ["database", "redis"])
async def test_a_start_that_fails_says_no_secret(
    make_settings: MakeSettings,
    canaries: Canaries,
    capsysbinary: pytest.CaptureFixture[bytes],
    away: str,
) -> None:
    unreachable = {"DB_HOST": "127.0.0.1", "DB_PORT": 1, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": 1}
    part = {
        "database": {"DB_TYPE": "mysql", "DB_USERNAME": "groundwork", "DB_DATABASE": "groundwork"},
        "redis": {"REDIS_MODE": "server"},
    }[away]
    settings = make_settings(**canaries.settings(), **unreachable, **part, LOG_LEVEL="DEBUG")
    with pytest.raises(StartError) as caught:
        async with serving(settings):
            raise AssertionError("it started")
    out, err = capsysbinary.readouterr()
    assert b"start failed" in out
    chain = f"{caught.value!r} {caught.value.__cause__!r} {caught.getrepr(style='native')}"
    assert canaries.found_in(out + err) == []
    assert canaries.found_in(chain) == []


def test_the_search_finds_a_canary_in_every_disguise() -> None:
    canaries = Canaries()
    secret = canaries.plant("x")
    for disguise in (
        secret,
        f"...{secret[10:30]}...",
        secret.encode().hex(),
        base64.b64encode(secret.encode()).decode(),
        repr({"x": secret}),
    ):
        assert canaries.found_in(disguise) == ["x"], disguise
    assert canaries.found_in(secret[::-1] + secret[:9]) == []
