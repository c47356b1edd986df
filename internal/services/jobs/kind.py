"""What a kind of job is made of. One file of `services/kinds/` is one kind."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.backoff import RetryPolicy
from internal.core.caller import Role

if TYPE_CHECKING:
    from internal.services.assembly import Services


class Queue(StrEnum):
    DEFAULT = "default"
    WEBHOOKS = "webhooks"


class JobFailed(Exception):
    """It cannot succeed, and another attempt would end alike: the job becomes `failed`."""


class TryAgain(Exception):
    """This attempt has failed for a reason that passes.

    Args:
        after: the least rest before the next attempt; None: as the retry policy says.
    """

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, slots=True)
class Execution[P: BaseModel]:
    """One attempt at a job, as the kind's function gets it.

    Args:
        complete: `async with job.complete(result) as session:` writes effects in the database in
            the transaction that makes the job succeeded, so that they happen exactly once. A
            function that has no such effect returns its result instead.
    """

    job_id: int
    attempt: int
    owner_id: int | None
    payload: P
    services: "Services"
    complete: Callable[[object], AbstractAsyncContextManager[AsyncSession]]

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt: for effects outside, which may happen more than once."""
        return f"job-{self.job_id}"


@dataclass(frozen=True, slots=True)
class Kind[P: BaseModel]:
    """A kind of job.

    Args:
        name: dotted: `webhook.deliver`.
        payload: its shape.
        run: does it. Returns the job's result, as JSON. Raises JobFailed, TryAgain, or anything
            else, which is another attempt as well.
        submitted_by: the least role that may ask for one.
        timeout: of one attempt.
    """

    name: str
    payload: type[P]
    run: Callable[[Execution[P]], Awaitable[object]]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    queue: Queue = Queue.DEFAULT
    submitted_by: Role = Role.ADMIN
    timeout: timedelta = timedelta(minutes=5)
