"""aiomysql's connection with fewer round trips, TLS that nobody can talk it out of, and an end."""

import asyncio
import math
import select
import time

import aiomysql
from pymysql.constants import CLIENT, COMMAND, CR

PING_AFTER_SECONDS = 1.0
QUIT = b"\x01\x00\x00\x00" + bytes([COMMAND.COM_QUIT])  # a packet: its length, number, command


class Connection(aiomysql.Connection):  # type: ignore[misc] # aiomysql is untyped
    """Asks the server only what the client cannot know. A round trip is a tenth of a short read."""

    pinged_at = -math.inf
    _reader: asyncio.StreamReader | None
    _writer: asyncio.StreamWriter | None

    async def _request_authentication(self) -> None:
        """Refuses a server that offers no TLS; aiomysql itself would go on in plain text."""
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            raise aiomysql.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "TLS is required, and the server offers none"
            )
        try:
            await super()._request_authentication()
        except Exception:
            self.close()
            raise

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
        """Nothing where none was begun. Without autocommit any statement may have begun one."""
        if self.get_transaction_status() or not self.get_autocommit():
            await super().rollback()

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
    try:
        await connection._connect()  # noqa: SLF001 - all that `aiomysql.connect` does
    except BaseException:  # a cancellation, too, which aiomysql leaves the socket open at
        connection.close()
        raise
    connection.pinged_at = time.monotonic()
    return connection
