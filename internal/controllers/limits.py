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
from internal.infra.rate_limits import LocalLimits, Quota, Windows


def count_request(scope: Scope, limits: LocalLimits, key: str) -> None:
    """Counts a request of a caller and tells them how they stand.

    Raises:
        TooManyRequests: it is one too many.
    """
    _tell(scope, "default", limits.windows, limits.hit(key))


def refuse_exhausted(limits: LocalLimits, key: str) -> None:
    """Raises TooManyRequests where nothing is left. Counts nothing."""
    if wait := limits.seconds_to_wait(key):
        raise TooManyRequests(headers={"Retry-After": str(wait)})


async def limit_auth(request: Request, resources: ResourcesDep) -> None:
    """Counts an address's attempts at passwords and refresh tokens, on every replica."""
    address = counted_as(request.client.host if request.client else "")
    limits = resources.limits.auth
    _tell(request.scope, "auth", limits.windows, await limits.hit(address))


AuthLimit = Depends(limit_auth)


def _tell(scope: Scope, policy: str, windows: Windows, quotas: Sequence[Quota]) -> None:
    if not quotas:
        return
    names, described = _describe(policy, windows)
    standing, wait = [], 0
    for name, quota in zip(names, quotas, strict=True):
        standing.append(f"{name};r={quota.remaining};t={quota.reset}")
        if quota.exceeded:
            wait = max(wait, quota.reset, 1)
    add_reply_header(scope, b"ratelimit-policy", described)
    add_reply_header(scope, b"ratelimit", ", ".join(standing).encode())
    if wait:
        raise TooManyRequests(headers={"Retry-After": str(wait)})


@lru_cache(maxsize=16)
def _describe(policy: str, windows: Windows) -> tuple[list[str], bytes]:
    """The names of a policy's windows, which the two headers are matched by, and the first one."""
    names = [
        f'"{policy}"' if len(windows) == 1 else f'"{policy}-{seconds}s"' for _, seconds in windows
    ]
    described = zip(names, windows, strict=True)
    return names, ", ".join(f"{name};q={q};w={w}" for name, (q, w) in described).encode()
