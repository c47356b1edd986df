"""Rate limits at the doors, and the headers that tell about them.

The IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers) and
Retry-After (RFC 9110 §10.2.3).
"""

from collections.abc import Sequence

from fastapi import Depends, Request
from starlette.types import Scope

from internal.controllers.dependencies import ResourcesDep
from internal.core.address import counted_as
from internal.core.errors import TooManyRequests
from internal.core.reply_headers import add_reply_header
from internal.infra.rate_limits import LocalLimits, Quota


def count_request(scope: Scope, limits: LocalLimits, key: str) -> None:
    """Counts a request of a caller and tells them how they stand.

    Raises:
        TooManyRequests: it is one too many.
    """
    _tell(scope, "default", limits.hit(key))


def refuse_exhausted(limits: LocalLimits, key: str) -> None:
    """Raises TooManyRequests where nothing is left. Counts nothing."""
    if wait := limits.seconds_to_wait(key):
        raise TooManyRequests(headers={"Retry-After": str(wait)})


async def limit_auth(request: Request, resources: ResourcesDep) -> None:
    """Counts an address's attempts at passwords and refresh tokens, on every replica."""
    address = counted_as(request.client.host if request.client else "")
    _tell(request.scope, "auth", await resources.limits.auth.hit(address))


AuthLimit = Depends(limit_auth)


def _tell(scope: Scope, policy: str, quotas: Sequence[Quota]) -> None:
    if not quotas:
        return
    # A name stands for one window: it is what the two headers are matched by.
    names = [policy if len(quotas) == 1 else f"{policy}-{quota.window}s" for quota in quotas]
    add_reply_header(
        scope,
        b"ratelimit-policy",
        ", ".join(f'"{n}";q={q.amount};w={q.window}' for n, q in zip(names, quotas, strict=True)),
    )
    add_reply_header(
        scope,
        b"ratelimit",
        ", ".join(f'"{n}";r={q.remaining};t={q.reset}' for n, q in zip(names, quotas, strict=True)),
    )
    exceeded = [quota.reset for quota in quotas if quota.exceeded]
    if exceeded:
        raise TooManyRequests(headers={"Retry-After": str(max(1, *exceeded))})
