"""Creating once: the HTTP side of Idempotency-Key."""

from typing import Annotated

from fastapi import Header, Request, Response

from internal.controllers.dependencies import resources_of
from internal.core.caller import Caller
from internal.core.envelope import Envelope
from internal.services.idempotency import Outcome, RequestIdentity, Work

IDEMPOTENCY_KEY = "Idempotency-Key"

type IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The same key and body within 24 hours: done once, answered alike.",
        examples=["9f0c1c52-3a7e-4d0b-8a53-5b3f7a1f9f10"],
    ),
]


async def create_once(  # noqa: PLR0913 - of which two are options
    request: Request,
    caller: Caller,
    key: str | None,
    work: Work,
    *,
    status: int = 201,
    holds_secret: bool = False,
) -> Response:
    """Does the work once and answers with its envelope, also at a repeated request."""
    outcome = await resources_of(request.app).services.idempotency.run(
        caller,
        None if key is None else await _identity(request, caller, key),
        work,
        holds_secret=holds_secret,
    )
    return _reply(outcome, status)


async def _identity(request: Request, caller: Caller, key: str) -> RequestIdentity:
    scope = request.scope
    path = f"{scope['raw_path'].decode('latin-1')}?{scope['query_string'].decode('latin-1')}"
    return RequestIdentity(caller.key, scope["method"], path, key, await request.body())


def _reply(outcome: Outcome, status: int) -> Response:
    body = Envelope(data=outcome.data).model_dump_json()
    headers = {"Idempotent-Replayed": "true"} if outcome.is_replay else None
    return Response(body, status, headers, media_type="application/json")
