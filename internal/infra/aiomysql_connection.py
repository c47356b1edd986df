"""aiomysql's connection with fewer round trips, TLS that nobody can talk it out of, and an end."""

import asyncio
import math
import select
import ssl
import struct
import time

import aiomysql
from pymysql.charset import charset_by_name
from pymysql.connections import MAX_PACKET_LEN
from pymysql.constants import CLIENT, COMMAND, CR

PING_AFTER_SECONDS = 1.0
ROLLBACK_SECONDS = 5.0
QUIT = b"\x01\x00\x00\x00" + bytes([COMMAND.COM_QUIT])  # a packet: its length, number, command


class Connection(aiomysql.Connection):  # type: ignore[misc] # aiomysql is untyped
    """Asks the server only what the client cannot know. A round trip is a tenth of a short read."""

    pinged_at = -math.inf
    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None
    _ssl_context: ssl.SSLContext | None
    _server_auth_plugin: str

    async def _request_authentication(self) -> None:
        """Over TLS where it is wanted; what a server sends before that decides nothing."""
        if self._ssl_context is None:
            await super()._request_authentication()
            return
        context, self._ssl_context = self._ssl_context, None  # aiomysql has nothing to do with it
        try:
            await self._start_tls(context)
            await super()._request_authentication()
        except Exception:
            self.close()
            raise
        finally:
            self._ssl_context = context

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        """On the connection that there is.

        aiomysql begins another on a copy of its socket. Where that is ended meanwhile, both uvloop
        and the copy close the descriptor: it may be another connection's by then.

        Raises:
            OperationalError: the server offers none (aiomysql would go on in plain text), or has
                sent what would pass for an answer that came through TLS.
        """
        if not self.server_capabilities & CLIENT.SSL:
            raise aiomysql.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "TLS is required, and the server offers none"
            )
        assert self._reader is not None and self._writer is not None  # noqa: S101, PT018 - it has read
        if self._reader._buffer:  # type: ignore[attr-defined] # noqa: SLF001 - nothing else tells
            raise aiomysql.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "the server has sent more than its greeting before TLS"
            )
        charset = charset_by_name(self.charset).id
        self.write_packet(struct.pack("<iIB23s", self.client_flag, MAX_PACKET_LEN, charset, b""))
        await self._writer.start_tls(context, server_hostname=self._host)
        self._secure = True
        if self._server_auth_plugin == "sha256_password":
            # Its password goes through TLS as it is, which aiomysql knows once it is asked for it.
            self._server_auth_plugin = "mysql_clear_password"

    async def ping(self, reconnect: bool = True) -> None:  # noqa: FBT001, FBT002 - aiomysql's
        """Asks a server that has not been asked for a while, or one that seems to have gone.

        The pool pings before each use. That a server has closed a connection is seen without.
        """
        now = time.monotonic()
        is_due = now - self.pinged_at >= PING_AFTER_SECONDS
        self.pinged_at = now
        if is_due or not self._is_quiet():
            await super().ping(reconnect)

    async def rollback(self) -> None:
        """Nothing where none was begun. Without autocommit any statement may have begun one.

        SQLAlchemy lets nobody cancel it: work that is given up would wait as long as a server is
        frozen. One that is closed instead comes to the same.
        """
        if not self.get_transaction_status() and self.get_autocommit():
            return
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await super().rollback()
        except TimeoutError:
            self.close()
            raise aiomysql.OperationalError(CR.CR_SERVER_LOST, "no answer to ROLLBACK") from None

    async def ensure_closed(self) -> None:
        """Tells the server, and waits for nothing it would say."""
        if self._writer is not None:
            self._writer.write(QUIT)
            await asyncio.sleep(0)  # a turn of the loop, at whose end what was written is sent
            self.close()

    def close(self) -> None:
        """At once. TLS has a farewell, which aiomysql begins and a loop that closes breaks on."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reader = None

    def _is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, as the socket's end would be."""
        if self._writer is None or self._writer.transport.is_closing():
            return False
        # The system is asked and not the reader: the loop may not have got round to it yet.
        arrived = select.poll()
        arrived.register(self._writer.transport.get_extra_info("socket"), select.POLLIN)
        return not arrived.poll(0)


async def connect(**arguments: object) -> Connection:
    """Like `aiomysql.connect`, whose arguments it takes."""
    connection = Connection(**arguments)
    # aiomysql's default: whoever got a statement of theirs into one of ours could add another.
    connection.client_flag &= ~CLIENT.MULTI_STATEMENTS
    try:
        await connection._connect()  # noqa: SLF001 - all that `aiomysql.connect` does
    except BaseException:  # a cancellation, too, which aiomysql leaves the socket open at
        connection.close()
        raise
    connection.pinged_at = time.monotonic()
    return connection
