"""URLs that we send to, as admins give them: the one grammar for storing and for connecting.

Two parsers that differ are how a checked URL comes to lead somewhere else. So there is one, and it
knows no user names, no fragments, no spaces, nothing but ASCII (names in other scripts are given
as `xn--…`) and no way to write a host twice.
"""

import re
from typing import NamedTuple

MAX_URL = 2048

_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"(?:{_LABEL}\.)*{_LABEL}|\[[0-9A-Fa-f:.]{{2,45}}\]"
_PORT = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
_CHARACTER = "[A-Za-z0-9._~!$&()*+,;=:@/-]|%[0-9A-Fa-f]{2}"
_TARGET = rf"(?:/(?:{_CHARACTER})*)?(?:\?(?:{_CHARACTER}|\?)*)?"
URL_PATTERN = f"^(https?)://({_HOST})(?::({_PORT}))?({_TARGET})$"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class InvalidUrl(ValueError):
    """Its text says what is wrong, without the URL."""


class HttpUrl(NamedTuple):
    """Where a request goes.

    Args:
        host: a name, an IPv4 address in whatever form, or an IPv6 address without its brackets.
        authority: host and port, as they were given: the Host header.
        target: path and query, as they are sent.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str


def parse_url(url: str, *, require_https: bool) -> HttpUrl:
    """The parts of a URL.

    Raises:
        InvalidUrl
    """
    match = re.fullmatch(URL_PATTERN, url, re.ASCII) if len(url) <= MAX_URL else None
    if match is None:
        raise InvalidUrl(
            "not a URL that we send to: http(s)://host[:port][/path][?query], without a user name "
            f"or a fragment, in ASCII, {MAX_URL} characters at most"
        )
    scheme, host, port, target = match.groups()
    if require_https and scheme != "https":
        raise InvalidUrl("https is required")
    return HttpUrl(
        scheme=scheme,
        host=host.strip("[]"),
        port=int(port or _DEFAULT_PORTS[scheme]),
        authority=f"{host}:{port}" if port else host,
        target=target if target.startswith("/") else f"/{target}",
    )
