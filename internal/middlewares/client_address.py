from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send


class ClientAddressMiddleware:
    """Puts the client's address behind trusted proxies into the scope.

    X-Forwarded-For is read from its right end, where our own proxies wrote; the first hop that is
    no trusted proxy is the client. What stands left of it is the client's own word, and ignored.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["client"]:
            host, port = scope["client"]
            hops = [
                hop.strip()
                for name, value in scope["headers"]
                if name == b"x-forwarded-for"
                for hop in value.decode("latin-1").split(",")
            ]
            while hops and self._is_trusted(host):
                hop = hops.pop()
                if not _is_address(hop):
                    break
                host, port = hop, 0
            scope["client"] = (host, port)
        await self._app(scope, receive, send)

    def _is_trusted(self, host: str) -> bool:
        return _is_address(host) and any(ip_address(host) in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
