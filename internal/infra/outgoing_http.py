"""Requests to servers that somebody else has named: they lead where they may, and nowhere else."""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, cast

from internal.core.address import Address, Network, is_reachable
from internal.core.http_url import HttpUrl, InvalidUrl, parse_url
from internal.infra.build import build_info

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0  # for one address: of several, a dead one leaves time for the next

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_ENCODINGS = ("gzip", "x-gzip", "deflate")  # RFC 9110 §8.4.1

type Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class OutgoingError(Exception):
    """There is no reply. The text may be shown: it tells nothing about our network."""

    is_permanent: ClassVar[bool] = False


class BadUrl(OutgoingError):
    is_permanent = True


class ForbiddenAddress(OutgoingError):
    """The host has an address that we do not connect to."""

    is_permanent = True


class Unreachable(OutgoingError):
    """No name, no connection, no TLS, or one that ended too early."""


class TookTooLong(OutgoingError):
    pass


class BadReply(OutgoingError):
    """What came is no HTTP, or is not encoded as it says."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server has answered.

    Args:
        headers: their names in lower case.
        body: decoded; its beginning where it is longer than `MAX_REPLY_BYTES`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address of a host, in the order in which to try them (RFC 6724). Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))


class OutgoingHttp:
    """Sends one request over one connection: no redirects, proxies, cookies or credentials.

    A host is resolved once; all of its addresses must be allowed, and the connection goes to one of
    those, so that a name that changes its answer (DNS rebinding) gains nothing. TLS is verified
    against the name.

    Args:
        allowed_networks: may be connected to although they are not global.
        require_https: refuse http.
        resolve: how addresses are found.
    """

    def __init__(
        self,
        allowed_networks: Collection[Network] = (),
        *,
        require_https: bool,
        resolve: Resolve = resolve,
    ) -> None:
        self._allowed_networks = allowed_networks
        self._require_https = require_https
        self._resolve = resolve

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        total_timeout: float,
        auth: "httpx.Auth | None" = None,
    ) -> Reply:
        """Sends a body and reads what is answered to it, whatever its status.

        Args:
            total_timeout: seconds for everything, from the name's resolution to the reply's end.
            auth: signs each attempt to connect anew.

        Raises:
            BadUrl, ForbiddenAddress: permanent; nothing was sent.
            Unreachable, TookTooLong, BadReply: may pass; the request may have arrived.
        """
        try:
            target = parse_url(url, require_https=self._require_https)
        except InvalidUrl as error:
            raise BadUrl(str(error)) from None
        try:
            async with asyncio.timeout(total_timeout):
                addresses = await self._checked_addresses(target)
                return await self._send(target, addresses, body, headers, auth)
        except TimeoutError:
            raise TookTooLong(f"no complete reply within {total_timeout:g} s") from None

    async def _checked_addresses(self, target: HttpUrl) -> Sequence[Address]:
        try:
            addresses = await self._resolve(target.host, target.port)
        except UnicodeError:
            raise BadUrl("the host cannot be a name") from None
        except OSError:
            raise Unreachable("the host's name cannot be resolved") from None
        if not all(is_reachable(address, self._allowed_networks) for address in addresses):
            raise ForbiddenAddress("the host has an address that is not to be connected to")
        return addresses

    async def _send(
        self,
        target: HttpUrl,
        addresses: Sequence[Address],
        body: bytes,
        headers: Mapping[str, str],
        auth: "httpx.Auth | None",
    ) -> Reply:
        import httpx  # noqa: PLC0415 - slow and large; most processes send nothing

        failure: Exception | None = None
        async with self._client() as client:
            for address in addresses:
                request = client.build_request(
                    "POST",
                    _url_of(target, address),
                    content=body,
                    headers={"Host": target.authority, **headers},
                    extensions={"sni_hostname": target.host},
                )
                try:
                    response = await client.send(request, auth=auth, stream=True)
                    try:
                        return Reply(
                            response.status_code,
                            {name.lower(): value for name, value in response.headers.items()},
                            await _read(response),
                        )
                    finally:
                        await response.aclose()
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error  # nothing was sent: another address may do better
                except httpx.RemoteProtocolError as error:
                    raise BadReply("what was answered is not HTTP, or not all of it") from error
                except httpx.TransportError as error:
                    raise Unreachable(f"the connection failed: {type(error).__name__}") from error
        raise Unreachable(_why(failure)) from failure

    def _client(self) -> "httpx.AsyncClient":
        """For one request: nothing of it (a connection, a cookie) is there for the next one."""
        import httpx  # noqa: PLC0415 - see above

        transport = httpx.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        return httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            headers={
                "User-Agent": f"groundwork/{build_info().version}",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """With the system's authorities, which take a while to read."""
        return ssl.create_default_context()


def _url_of(target: HttpUrl, address: Address) -> "httpx.URL":
    import httpx  # noqa: PLC0415 - see above

    return httpx.URL(
        scheme=target.scheme,
        host=str(address),
        port=target.port,
        raw_path=target.target.encode("ascii"),
    )


def _why(failure: Exception | None) -> str:
    if failure is not None and "certificate verify failed" in str(failure):
        return "no connection: the server's certificate does not verify"
    return "no connection"


async def _read(response: "httpx.Response") -> bytes:
    """The decoded body, or its beginning: what is longer, or would inflate further, is left.

    Raises:
        BadReply: it is not encoded as it says.
    """
    decode = _decoder(response.headers.get("content-encoding", "identity").strip().lower())
    body, received = b"", 0
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            body += decode(chunk, MAX_REPLY_BYTES - len(body))
            if max(received, len(body)) >= MAX_REPLY_BYTES:
                break
    return body


def _decoder(encoding: str) -> Callable[[bytes, int], bytes]:
    """Takes a chunk and how many bytes may come of it, at least one."""
    if encoding == "identity":
        return lambda chunk, room: chunk[:room]
    if encoding not in _ENCODINGS:
        raise BadReply("the reply's encoding was not asked for")
    inflating = zlib.decompressobj(_ZLIB_OR_GZIP)

    def inflate(chunk: bytes, room: int) -> bytes:
        try:
            return inflating.decompress(chunk, room)
        except zlib.error:
            raise BadReply("the reply is not encoded as it says") from None

    return inflate
