"""Two secrets a client, so that one can be changed while the other is in use."""

import pytest

from internal.controllers.dependencies import resources_of
from internal.core.caller import OPERATOR
from internal.services.clients import ClientRevoked
from tests.security.signing.signed import Client, rotate
from tests.unit.http.serving import Served

pytestmark = pytest.mark.anyio


async def accepts(served: Served, client: Client) -> bool:
    return (await client.request().sent_to(served.app)).status == 200


async def secrets_in_use(served: Served, client: Client) -> int:
    row = await resources_of(served.app).services.clients.get(OPERATOR, client.client_id)
    return row.secrets


async def test_after_a_rotation_both_secrets_are_accepted(served: Served, client: Client) -> None:
    rotated = await rotate(served.app, client)
    assert rotated.secret != client.secret
    assert await accepts(served, client)
    assert await accepts(served, rotated)
    assert await secrets_in_use(served, client) == 2


async def test_a_second_rotation_drops_the_oldest_secret_at_once(
    served: Served, client: Client
) -> None:
    generations = [client]
    for _ in range(4):
        assert await accepts(served, generations[-1])
        generations.append(await rotate(served.app, generations[-1]))
        newest_two = [await accepts(served, generation) for generation in generations[-2:]]
        older = [await accepts(served, generation) for generation in generations[:-2]]
        assert newest_two == [True, True]
        assert not any(older)
        assert await secrets_in_use(served, client) == 2


async def test_a_rotation_that_keeps_nothing_drops_every_other_secret_at_once(
    served: Served, client: Client
) -> None:
    second = await rotate(served.app, client)
    third = await rotate(served.app, second, keep_previous=False)
    assert [await accepts(served, each) for each in (client, second, third)] == [False, False, True]
    assert await secrets_in_use(served, client) == 1
    fourth = await rotate(served.app, third)
    assert [await accepts(served, each) for each in (third, fourth)] == [True, True]


async def test_a_signature_under_either_secret_spends_the_same_nonce(
    served: Served, client: Client
) -> None:
    rotated = await rotate(served.app, client)
    request = client.request()
    assert (await request.sent_to(served.app)).status == 200
    again = request.under(rotated.secret.encode())
    assert (await again.sent_to(served.app)).status == 401


async def test_a_revoked_client_cannot_be_rotated_back_to_life(
    served: Served, client: Client
) -> None:
    await resources_of(served.app).services.clients.revoke(OPERATOR, client.client_id)
    with pytest.raises(ClientRevoked):
        await rotate(served.app, client)
    assert not await accepts(served, client)
    assert await secrets_in_use(served, client) == 0
