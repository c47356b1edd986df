"""aiomysql over TLS that the server, or somebody in between, cannot talk it out of."""

import aiomysql
from pymysql.constants import CLIENT, CR


class TlsConnection(aiomysql.Connection):  # type: ignore[misc] # aiomysql is untyped
    """Refuses a server that offers no TLS; aiomysql itself would go on in plain text."""

    async def _request_authentication(self) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            raise aiomysql.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "TLS is required, and the server offers none"
            )
        await super()._request_authentication()


async def connect(**arguments: object) -> TlsConnection:
    """Like `aiomysql.connect`, whose arguments it takes."""
    connection = TlsConnection(**arguments)
    await connection._connect()  # noqa: SLF001 - all that `aiomysql.connect` does
    return connection
