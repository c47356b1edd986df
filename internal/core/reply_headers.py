"""Headers that a reply gets whatever it will be, an error too: kept in the request's ASGI scope."""

from collections.abc import MutableMapping, Sequence
from typing import Any

type Header = tuple[bytes, bytes]

_KEY = "groundwork.reply_headers"


def add_reply_header(scope: MutableMapping[str, Any], name: bytes, value: bytes) -> None:
    """Puts a header on the reply to this request. `name` is in lower case."""
    scope.setdefault(_KEY, []).append((name, value))


def reply_headers(scope: MutableMapping[str, Any]) -> Sequence[Header]:
    headers: Sequence[Header] = scope.get(_KEY, ())
    return headers
