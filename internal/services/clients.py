"""API clients: other services, which sign their requests with a secret."""

import secrets
from collections.abc import Callable
from typing import get_args

from sqlalchemy.ext.asyncio import AsyncSession

from internal.config.secrets import Keyring
from internal.core.caller import Caller
from internal.core.clock import utc_now
from internal.core.errors import Conflict, NotFound, Text
from internal.dao.api_clients import ApiClientDAO
from internal.dao.base import Listing, ListQuery
from internal.models.api_client import ApiClient, Slot
from internal.schemas.clients import NewClient
from internal.services import audit
from internal.services.authorization import require_admin
from internal.services.unit_of_work import UnitOfWork

SECRET_BYTES = 32
REKEY_BATCH = 100
SLOTS: tuple[Slot, ...] = get_args(Slot.__value__)


class ClientRevoked(Conflict):
    message = Text("this client is revoked", "该客户端已被吊销")


class Clients:
    """Creates, rotates and revokes API clients.

    Args:
        forget: called with a client's public name when a commit has changed it.
    """

    def __init__(
        self, unit_of_work: UnitOfWork, keys: Keyring, forget: Callable[[str], None]
    ) -> None:
        self._unit_of_work = unit_of_work
        self._keys = keys
        self._forget = forget

    async def list(self, caller: Caller, query: ListQuery) -> Listing[ApiClient]:
        """One page. Raises Forbidden for everybody but admins."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return await ApiClientDAO(session).list(query)

    async def get(self, caller: Caller, client_id: str) -> ApiClient:
        """Raises NotFound."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return _found(await ApiClientDAO(session).by_client_id(client_id))

    async def create(
        self, session: AsyncSession, caller: Caller, new: NewClient
    ) -> tuple[ApiClient, str]:
        """A client and its secret, in the transaction at hand. The secret is not shown again."""
        require_admin(caller)
        client_id = f"gw_{secrets.token_urlsafe(12)}"
        client = ApiClient(
            client_id=client_id,
            name=new.name,
            scopes=sorted(set(new.scopes)),
            newest_slot=1,
        )
        secret = self._put_secret(client, 1)
        await ApiClientDAO(session).create(client)
        details = {"name": client.name, "scopes": client.scopes}
        await audit.record(session, caller, "client.create", ("client", client_id), details)
        return client, secret

    async def rotate(
        self, session: AsyncSession, caller: Caller, client_id: str, *, keep_previous: bool
    ) -> tuple[ApiClient, str]:
        """A new secret beside the newest one, or instead of every other.

        Raises:
            NotFound, ClientRevoked
        """
        require_admin(caller)
        client = _found(await ApiClientDAO(session).lock_by_client_id(client_id))
        if client.revoked_at is not None:
            raise ClientRevoked
        previous: Slot = client.newest_slot
        slot: Slot = 2 if previous == 1 else 1
        secret = self._put_secret(client, slot)
        client.newest_slot = slot
        if not keep_previous:
            _set_sealed(client, previous, None)
        details = {"keep_previous": keep_previous}
        await audit.record(session, caller, "client.rotate", ("client", client_id), details)
        return client, secret

    async def revoke(self, caller: Caller, client_id: str) -> ApiClient:
        """Nothing that this client signs is accepted any more. Raises NotFound."""
        require_admin(caller)
        async with self._unit_of_work.begin(caller.id) as session:
            client = _found(await ApiClientDAO(session).lock_by_client_id(client_id))
            if client.revoked_at is None:
                client.revoked_at = utc_now()
                await audit.record(session, caller, "client.revoke", ("client", client_id))
        self.changed(client_id)
        return client

    def changed(self, client_id: str) -> None:
        """To be called after the commit of what `rotate` has changed."""
        self._forget(client_id)

    async def rekey(self, caller: Caller) -> int:
        """Encrypts every secret anew under the newest AES key; returns how many there were.

        Raises:
            SecretError: one does not open; its batch is left as it was.
        """
        require_admin(caller)
        count, after = 0, 0
        while True:
            async with self._unit_of_work.begin(caller.id) as session:
                batch = await ApiClientDAO(session).lock_after(after, REKEY_BATCH)
                for client in batch:
                    count += self._rekey(client)
                    target = ("client", client.client_id)
                    await audit.record(session, caller, "client.rekey", target)
            if not batch:
                return count
            after = batch[-1].id

    def _rekey(self, client: ApiClient) -> int:
        opened = open_secrets(client, self._keys)
        for slot, secret in opened.items():
            _set_sealed(client, slot, self._keys.encrypt(secret, _name(client, slot)))
        return len(opened)

    def _put_secret(self, client: ApiClient, slot: Slot) -> str:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        _set_sealed(client, slot, self._keys.encrypt(secret, _name(client, slot)))
        return secret


def open_secrets(client: ApiClient, keys: Keyring) -> dict[Slot, str]:
    """The secrets of a client by their slots.

    Raises:
        SecretError: one does not open under the keys at hand.
    """
    sealed = {1: client.secret_1, 2: client.secret_2}
    return {
        slot: keys.decrypt(text, _name(client, slot))
        for slot in SLOTS
        if (text := sealed[slot]) is not None
    }


def _set_sealed(client: ApiClient, slot: Slot, sealed: str | None) -> None:
    setattr(client, f"secret_{slot}", sealed)


def _name(client: ApiClient, slot: Slot) -> str:
    return f"client:{client.client_id}:{slot}"


def _found(client: ApiClient | None) -> ApiClient:
    if client is None:
        raise NotFound
    return client
