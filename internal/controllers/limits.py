"""Rate limits at the doors, and the headers that tell about them.

The IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers) and
Retry-After (RFC 9110 §10.2.3).
"""

from collections.abc import Sequence
from functools import lru_cache

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
    names, described = _describe(policy, tuple((quota.amount, quota.window) for quota in quotas))
    standing = [
        f'"{name}";r={q.remaining};t={q.reset}' for name, q in zip(names, quotas, strict=True)
    ]
    add_reply_header(scope, b"ratelimit-policy", described)
    add_reply_header(scope, b"ratelimit", ", ".join(standing))
    if any(quota.exceeded for quota in quotas):
        waits = [quota.reset for quota in quotas if quota.exceeded]
        raise TooManyRequests(headers={"Retry-After": str(max(1, *waits))})


@lru_cache(maxsize=16)
def _describe(policy: str, windows: Sequence[tuple[int, int]]) -> tuple[list[str], str]:
    """The names of a policy's windows, which the two headers are matched by, and the first one."""
    names = [policy if len(windows) == 1 else f"{policy}-{window}s" for _, window in windows]
    described = zip(names, windows, strict=True)
    return names, ", ".join(f'"{name}";q={q};w={w}' for name, (q, w) in described)
