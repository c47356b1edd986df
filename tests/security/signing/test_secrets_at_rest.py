"""A client's secrets in the database: sealed, each for its client and its slot."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from internal.app import ROUTERS
from internal.config.secrets import SecretError, generate_key, key_id, parse_key
from internal.config.settings import Settings
from internal.controllers.dependencies import resources_of
from internal.core.caller import OPERATOR
from internal.services import clients
from tests.security.signing.signed import Client, create_client, rotate
from tests.unit.http.serving import Served, serving

pytestmark = pytest.mark.anyio


async def status_of(served: Served, client: Client) -> int:
    return (await client.request().sent_to(served.app)).status


async def execute(served: Served, statement: str, **values: object) -> None:
    async with resources_of(served.app).database.begin() as connection:
        await connection.execute(text(statement), values)
    resources_of(served.app).services.signed_requests.forget(str(values["id"]))


async def sealed(served: Served) -> dict[str, tuple[str | None, str | None]]:
    """Both slots as they lie in the database, by client id."""
    async with resources_of(served.app).database.connect() as connection:
        rows = await connection.execute(
            text("SELECT client_id, secret_1, secret_2 FROM api_clients")
        )
        return {client_id: (first, second) for client_id, first, second in rows}


@asynccontextmanager
async def with_keys(settings: Settings, newest: str, previous: str = "") -> AsyncGenerator[Served]:
    """A replica on the same database, with these AES keys."""
    changed = {"AES_SECRET": newest, "AES_SECRET_PREVIOUS": previous or None}
    values = {**{key.upper(): value for key, value in settings}, **changed}
    async with serving(Settings.model_validate(values), *ROUTERS) as served:
        yield served


async def test_a_secret_lies_in_the_database_only_in_its_enc_form(
    settings: Settings, served: Served, client: Client
) -> None:
    rotated = await rotate(served.app, client)
    kid = key_id(parse_key(settings.aes_secret.get_secret_value()))
    for form in (await sealed(served))[client.client_id]:
        assert form
        assert form.startswith(f"ENC(v1.{kid}.")
    stored = b"".join(file.read_bytes() for file in settings.data_dir.iterdir())
    assert client.client_id.encode() in stored
    for secret in (client.secret, rotated.secret):
        assert secret.encode() not in stored


async def test_the_same_secret_is_never_sealed_twice_alike(served: Served, client: Client) -> None:
    before = await sealed(served)
    await resources_of(served.app).services.clients.rekey(OPERATOR)
    assert before != await sealed(served)


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE api_clients SET secret_2 = secret_1 WHERE client_id = :id",
        "UPDATE api_clients SET secret_1 = secret_2, secret_2 = secret_1 WHERE client_id = :id",
        "UPDATE api_clients SET secret_2 = NULL, secret_1 = secret_2 WHERE client_id = :id",
        "UPDATE api_clients SET secret_1 = substr(secret_1, 1, 40) || ')' WHERE client_id = :id",
    ],
    ids=["copied", "swapped", "moved", "cut short"],
)
async def test_a_secret_that_was_moved_to_another_slot_opens_nothing(
    served: Served, client: Client, move: str
) -> None:
    rotated = await rotate(served.app, client)
    await execute(served, move, id=client.client_id)
    for each in (client, rotated):
        exchange = await each.request().sent_to(served.app)
        assert exchange.status == 500
        assert exchange.envelope["data"] is None


async def test_a_secret_that_was_moved_to_another_client_opens_nothing(
    served: Served, client: Client
) -> None:
    other = await create_client(served.app)
    await execute(
        served,
        "UPDATE api_clients SET secret_1 = (SELECT secret_1 FROM api_clients WHERE client_id = "
        ":own) WHERE client_id = :id",
        own=client.client_id,
        id=other.client_id,
    )
    forged = Client(other.client_id, client.secret)
    assert await status_of(served, forged) == 500
    assert await status_of(served, other) == 500
    assert await status_of(served, client) == 200


async def test_after_a_rekey_the_old_aes_key_can_be_dropped(
    settings: Settings, served: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REKEY_BATCH", 2)
    several = [client, *[await create_client(served.app) for _ in range(4)]]
    rotated = await rotate(served.app, client)
    revoked = await create_client(served.app)
    await resources_of(served.app).services.clients.revoke(OPERATOR, revoked.client_id)
    old, new = settings.aes_secret.get_secret_value(), generate_key()
    async with with_keys(settings, new, old) as both:
        for each in (*several, rotated):
            assert await status_of(both, each) == 200
        assert await resources_of(both.app).services.clients.rekey(OPERATOR) == 7
        for each in (*several, rotated):
            assert await status_of(both, each) == 200
        kid = key_id(parse_key(new))
        for forms in (await sealed(both)).values():
            assert all(form is None or form.startswith(f"ENC(v1.{kid}.") for form in forms)
    async with with_keys(settings, new) as only_new:
        for each in (*several, rotated):
            assert await status_of(only_new, each) == 200
        assert await status_of(only_new, revoked) == 401


async def test_without_a_rekey_the_old_aes_key_is_needed(
    settings: Settings, client: Client
) -> None:
    async with with_keys(settings, generate_key()) as only_new:
        assert await status_of(only_new, client) == 500
        before = await sealed(only_new)
        with pytest.raises(SecretError, match="the keys at hand are"):
            await resources_of(only_new.app).services.clients.rekey(OPERATOR)
        assert await sealed(only_new) == before
