"""Webhook endpoints: where events are sent, each with the secret that they are signed with."""

import functools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from internal.config.secrets import Keyring
from internal.core.caller import Caller
from internal.core.clock import utc_now
from internal.core.errors import NotFound, Text, ValidationFailed
from internal.core.http_url import HttpUrl, InvalidUrl, parse_url
from internal.dao.base import Listing, ListQuery
from internal.dao.webhook_endpoints import WebhookEndpointDAO
from internal.infra.metrics import Metrics
from internal.models.webhook_endpoint import WebhookEndpoint
from internal.schemas.webhooks import NewWebhookEndpoint, WebhookEndpointChange
from internal.services import audit
from internal.services.authorization import require_admin
from internal.services.cache import Cache
from internal.services.unit_of_work import UnitOfWork, after_commit

SECRET_BYTES = 32
REKEY_BATCH = 100
# How long a change may go unnoticed where Redis does not hear of it; a fifth more with the jitter.
CACHE_SECONDS = 10.0


class UrlRefused(ValidationFailed):
    message = Text("events cannot be sent to this URL", "无法向该 URL 发送事件")


@dataclass(frozen=True, slots=True)
class Target:
    """What is needed of an endpoint to send to it. The secret is the row's: encrypted."""

    id: int
    url: str
    disabled: bool
    secret: str = field(repr=False)

    @property
    def client_id(self) -> str:
        """What stands as X-Client-Id in the requests that are sent to it."""
        return str(self.id)


class WebhookEndpoints:
    """What admins do with endpoints, and opening their secrets.

    Args:
        require_https: refuse endpoints with http.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        keys: Keyring,
        redis: Redis,
        metrics: Metrics | None,
        *,
        require_https: bool,
    ) -> None:
        self._targets = Cache(redis, "webhook_endpoint", Target, CACHE_SECONDS, metrics)
        self._unit_of_work = unit_of_work
        self._keys = keys
        self._require_https = require_https

    async def list(self, caller: Caller, query: ListQuery) -> Listing[WebhookEndpoint]:
        """One page. Raises Forbidden for everybody but admins."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return await WebhookEndpointDAO(session).list(query)

    async def get(self, caller: Caller, endpoint_id: int) -> WebhookEndpoint:
        """Raises NotFound."""
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            return _found(await WebhookEndpointDAO(session).get(endpoint_id))

    async def target(self, endpoint_id: int) -> Target:
        """Where a delivery goes: read at each, changed rarely, and so cached. Raises NotFound."""

        async def read() -> Target:
            async with self._unit_of_work.read() as session:
                row = _found(await WebhookEndpointDAO(session).get(endpoint_id))
            return Target(row.id, row.url, row.disabled, row.secret)

        return await self._targets.get(endpoint_id, read)

    async def create(
        self, session: AsyncSession, caller: Caller, new: NewWebhookEndpoint
    ) -> tuple[WebhookEndpoint, str]:
        """An endpoint and its secret, in the transaction at hand. The secret is not shown again.

        Raises:
            UrlRefused
        """
        require_admin(caller)
        target = self._parsed(new.url)
        endpoint = WebhookEndpoint(url=new.url, owner=new.owner, secret="")
        await WebhookEndpointDAO(session).create(endpoint)
        secret = self._put_secret(endpoint)  # sealed for the id, which it has only now
        details = {"host": target.authority, "owner": endpoint.owner}
        await _record(session, caller, "create", endpoint, details)
        return endpoint, secret

    async def update(
        self, caller: Caller, endpoint_id: int, change: WebhookEndpointChange
    ) -> WebhookEndpoint:
        """Changes what `change` names. Raises NotFound, UrlRefused."""
        require_admin(caller)
        values = change.model_dump(exclude_unset=True)
        details = dict(values)
        if "url" in values:  # the whole of it may be a secret
            details["host"] = self._parsed(details.pop("url")).authority
        async with self._unit_of_work.begin(caller.id) as session:
            endpoint = await self._lock(session, endpoint_id)
            _apply(endpoint, values)
            await _record(session, caller, "update", endpoint, details)
        return endpoint

    async def rotate(
        self, session: AsyncSession, caller: Caller, endpoint_id: int
    ) -> tuple[WebhookEndpoint, str]:
        """A new secret, which signs from the commit on. Raises NotFound."""
        require_admin(caller)
        endpoint = await self._lock(session, endpoint_id)
        secret = self._put_secret(endpoint)
        await _record(session, caller, "rotate", endpoint)
        return endpoint, secret

    async def delete(self, caller: Caller, endpoint_id: int) -> None:
        """Nothing is sent to it any more. Raises NotFound."""
        require_admin(caller)
        async with self._unit_of_work.begin(caller.id) as session:
            endpoint = await self._lock(session, endpoint_id)
            endpoint.deleted_at = utc_now()
            await _record(session, caller, "delete", endpoint)

    def open(self, endpoint: WebhookEndpoint | Target) -> str:
        """The secret that requests to this endpoint are signed with.

        Raises:
            SecretError: it does not open under the keys at hand.
        """
        return self._keys.decrypt(endpoint.secret, _name(endpoint))

    async def rekey(self, caller: Caller) -> int:
        """Encrypts every secret anew under the newest AES key; returns how many there were.

        Raises:
            SecretError: one does not open; its batch is left as it was.
        """
        require_admin(caller)
        count, after = 0, 0
        while True:
            async with self._unit_of_work.begin(caller.id) as session:
                batch = await WebhookEndpointDAO(session).lock_after(after, REKEY_BATCH)
                for endpoint in batch:
                    self._seal(endpoint, self.open(endpoint))
                    self._forget_after(session, endpoint.id)
                    await _record(session, caller, "rekey", endpoint)
            if not batch:
                return count
            count, after = count + len(batch), batch[-1].id

    async def _lock(self, session: AsyncSession, endpoint_id: int) -> WebhookEndpoint:
        """A row that is going to be changed."""
        endpoint = _found(await WebhookEndpointDAO(session).lock(endpoint_id))
        self._forget_after(session, endpoint_id)
        return endpoint

    def _forget_after(self, session: AsyncSession, endpoint_id: int) -> None:
        after_commit(session, functools.partial(self._targets.forget, endpoint_id))

    def _parsed(self, url: str) -> HttpUrl:
        try:
            return parse_url(url, require_https=self._require_https)
        except InvalidUrl as error:
            raise UrlRefused(
                [{"field": "body.url", "type": "url_refused", "message": str(error)}]
            ) from None

    def _put_secret(self, endpoint: WebhookEndpoint) -> str:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._seal(endpoint, secret)
        return secret

    def _seal(self, endpoint: WebhookEndpoint, secret: str) -> None:
        endpoint.secret = self._keys.encrypt(secret, _name(endpoint))


def _apply(endpoint: WebhookEndpoint, values: Mapping[str, object]) -> None:
    for name in values.keys() & {"url", "owner"}:
        setattr(endpoint, name, values[name])
    if values.get("disabled") is True and endpoint.disabled_at is None:
        endpoint.disabled_at = utc_now()
    elif values.get("disabled") is False:
        endpoint.disabled_at = None


async def _record(
    session: AsyncSession,
    caller: Caller,
    verb: str,
    endpoint: WebhookEndpoint,
    details: Mapping[str, object] | None = None,
) -> None:
    target = ("webhook_endpoint", endpoint.id)
    await audit.record(session, caller, f"webhook_endpoint.{verb}", target, details)


def _name(endpoint: WebhookEndpoint | Target) -> str:
    return f"webhook:{endpoint.id}"


def _found(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise NotFound
    return endpoint
