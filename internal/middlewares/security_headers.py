from collections.abc import Iterable

from internal.core.reply_headers import Header

# OWASP's list for REST APIs (REST Security Cheat Sheet, "Security headers"). A route that needs
# another value, such as the docs page's policy, sets its own.
HEADERS: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_NAMES = frozenset(name for name, _ in HEADERS)


def secured(headers: Iterable[Header]) -> list[Header]:
    """The headers of a reply with the security headers that it has not set itself."""
    own = list(headers)
    names = {name for name, _ in own}
    if names.isdisjoint(_NAMES):
        return [*own, *HEADERS]
    return [*own, *(header for header in HEADERS if header[0] not in names)]
