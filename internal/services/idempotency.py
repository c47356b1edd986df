"""A request that may be sent twice and is carried out once: contract §2, Idempotency-Key."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from internal.config.secrets import Keyring
from internal.core.caller import Caller
from internal.core.clock import utc_now
from internal.core.errors import Conflict, Text, ValidationFailed
from internal.dao.idempotency_keys import IdempotencyKeyDAO
from internal.infra.database import is_lock_refused
from internal.models.idempotency_key import IdempotencyKey
from internal.services.unit_of_work import UnitOfWork

KEPT = timedelta(hours=24)

type Work = Callable[[AsyncSession], Awaitable[BaseModel]]


class StillRunning(Conflict):
    message = Text("the first request with this key is still running", "使用该键的首个请求仍在处理")


class ReplyNotKept(Conflict):
    message = Text(
        "done already; the reply held a secret and is not kept", "请求已完成；响应含密钥，未予保留"
    )


class KeyReused(ValidationFailed):
    message = Text("this key belongs to another body", "该键已用于不同的请求体")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What tells that two requests are one."""

    caller: str
    method: str
    path: str
    key: str
    body: bytes = field(repr=False)

    @property
    def request_hash(self) -> str:
        parts = json.dumps([self.caller, self.method, self.path, self.key])
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the work has given, now or at the first request."""

    data: Any = field(repr=False)  # may hold the secret of a new client
    is_replay: bool


class Idempotency:
    """Remembers what was carried out.

    Args:
        keys: bodies may hold passwords, so that they are recognized by a keyed hash.
    """

    def __init__(self, unit_of_work: UnitOfWork, keys: Keyring) -> None:
        self._unit_of_work = unit_of_work
        self._keys = keys

    async def run(
        self,
        caller: Caller,
        identity: RequestIdentity | None,
        work: Work,
        *,
        holds_secret: bool = False,
    ) -> Outcome:
        """Does the work in a transaction, once for all requests of one identity.

        The key's row is written in the same transaction: work that fails leaves none, and may be
        tried again with the same key.

        Args:
            identity: None where the client has sent no key.
            holds_secret: then the reply is not kept.

        Raises:
            StillRunning, ReplyNotKept, KeyReused
        """
        async with self._unit_of_work.begin(caller.id) as session:
            if identity is None:
                return Outcome((await work(session)).model_dump(mode="json"), is_replay=False)
            stored = await self._stored(session, identity)
            if stored is not None:
                return _replay(stored, self._body_hashes(identity))
            row = await self._claim(session, identity)
            data = (await work(session)).model_dump(mode="json")
            if not holds_secret:
                row.reply = json.dumps(data)
            return Outcome(data, is_replay=False)

    async def _stored(
        self, session: AsyncSession, identity: RequestIdentity
    ) -> IdempotencyKey | None:
        keys = IdempotencyKeyDAO(session)
        try:
            row = await keys.lock_by_hash(identity.request_hash)
        except OperationalError as error:
            if is_lock_refused(error):
                raise StillRunning from None
            raise
        if row is not None and row.expires_at <= utc_now():
            await keys.forget(row)
            return None
        return row

    async def _claim(self, session: AsyncSession, identity: RequestIdentity) -> IdempotencyKey:
        row = IdempotencyKey(
            request_hash=identity.request_hash,
            body_hash=self._body_hashes(identity)[0],
            reply=None,
            expires_at=utc_now() + KEPT,
        )
        try:
            return await IdempotencyKeyDAO(session).create(row)
        except IntegrityError:
            # Two at the same moment: this one has waited for the other's commit.
            raise StillRunning from None
        except OperationalError as error:
            if is_lock_refused(error):
                raise StillRunning from None
            raise

    def _body_hashes(self, identity: RequestIdentity) -> list[str]:
        return self._keys.tags(identity.body, "idempotency")


def _replay(row: IdempotencyKey, body_hashes: Sequence[str]) -> Outcome:
    if row.body_hash not in body_hashes:
        raise KeyReused
    if row.reply is None:
        raise ReplyNotKept
    return Outcome(json.loads(row.reply), is_replay=True)
