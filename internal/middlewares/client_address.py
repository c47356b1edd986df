from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

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
            address = _address(host)
            while hops and address is not None and self._is_trusted(address):
                address = _address(hops.pop())
                if address is not None:
                    host, port = str(address), 0
            scope["client"] = (host, port)
        await self._app(scope, receive, send)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one as itself also on a socket for both; None if it is none.

    No zone (`fe80::1%eth0`): it may be any text, and means nothing on another machine.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address  # noqa: PLR2004
