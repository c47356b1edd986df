"""Who signed a request: contract §5."""

import secrets
import time
from dataclasses import dataclass, field

from redis.asyncio import Redis

from internal.config.secrets import Keyring
from internal.core.caller import Caller, CallerKind
from internal.core.errors import InvalidSignature
from internal.core.signature import (
    MAX_SKEW_SECONDS,
    NONCE_SECONDS,
    SignatureHeaders,
    canonical_request,
    is_signed_with,
)
from internal.dao.api_clients import ApiClientDAO
from internal.services.clients import SLOTS, open_secrets
from internal.services.recent import Recent
from internal.services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class SigningClient:
    """What is needed of a client to check what it signs."""

    id: int
    scopes: frozenset[str]
    secrets: tuple[bytes, ...] = field(repr=False)


class SignedRequests:
    """Checks signatures: cheap checks first; only a valid signature spends its nonce."""

    def __init__(self, unit_of_work: UnitOfWork, redis: Redis, keys: Keyring) -> None:
        self._unit_of_work = unit_of_work
        self._redis = redis
        self._keys = keys
        self._recent: Recent[str, SigningClient | None] = Recent(self._read)
        # Every check compares with as many secrets as a client can have, whether it has them.
        self._nobodys = tuple(secrets.token_bytes(32) for _ in SLOTS)

    async def authenticate(  # noqa: PLR0913, PLR0917 - the parts of a request that are signed
        self,
        headers: SignatureHeaders,
        method: bytes,
        raw_path: bytes,
        raw_query: bytes,
        body: bytes,
        address: str,
    ) -> Caller:
        """The client that signed.

        Raises:
            InvalidSignature: nobody did, too long ago, or this nonce was used before.
        """
        if not headers.is_well_formed or not _is_recent(int(headers.timestamp)):
            raise InvalidSignature
        client_id = headers.client_id.decode("ascii")
        client = await self._recent.get(client_id)
        canonical = canonical_request(headers, method, raw_path, raw_query, body)
        if not self._is_signed_by(client, canonical, headers.signature) or client is None:
            raise InvalidSignature
        nonce = f"nonce:{client_id}:{headers.nonce.decode('ascii')}"
        if not await self._redis.set(nonce, 1, nx=True, ex=NONCE_SECONDS):
            raise InvalidSignature
        return Caller(
            CallerKind.CLIENT,
            id=client.id,
            address=address,
            client_id=client_id,
            scopes=client.scopes,
        )

    def forget(self, client_id: str) -> None:
        """The client has changed: it is read anew."""
        self._recent.forget(client_id)

    def _is_signed_by(
        self, client: SigningClient | None, canonical: bytes, signature: bytes
    ) -> bool:
        known = client.secrets if client else ()
        keys = (*known, *self._nobodys[len(known) :])
        matches = [is_signed_with(key, canonical, signature) for key in keys]
        return any(matches[: len(known)])

    async def _read(self, client_id: str) -> SigningClient | None:
        async with self._unit_of_work.read() as session:
            client = await ApiClientDAO(session).by_client_id(client_id)
        if client is None or client.revoked_at is not None:
            return None
        opened = open_secrets(client, self._keys)
        return SigningClient(
            client.id,
            frozenset(client.scopes),
            tuple(secret.encode() for secret in opened.values()),
        )


def _is_recent(timestamp: int) -> bool:
    return abs(time.time() - timestamp) <= MAX_SKEW_SECONDS
