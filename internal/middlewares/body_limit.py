from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.errors import PayloadTooLarge
from internal.middlewares.reply import send_error

_DIGITS = 19  # of the largest 63-bit number
_CLOSE = {"connection": "close"}


class BodyLimitMiddleware:
    """413 for a body over the limit: before a byte of it is read, where its length is declared.

    Starlette's own says so in plain text, over whatever the application wanted to say, and is at
    work on every message of every request; here only a body of unknown length is counted.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _declared_length(scope)
        if declared is None:
            receive = self._counted(receive)
        # A number of thousands of digits is no int for Python.
        elif len(declared) > _DIGITS or int(declared) > self._max_bytes:
            await send_error(scope, send, PayloadTooLarge(headers=_CLOSE))
            return
        await self._app(scope, receive, send)

    def _counted(self, receive: Receive) -> Receive:
        left = self._max_bytes

        async def receive_counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                # What FastAPI lets pass where it reads a body; any other exception is 400 there.
                raise HTTPException(PayloadTooLarge.status, headers=_CLOSE)
            return message

        return receive_counted


def _declared_length(scope: Scope) -> bytes | None:
    """Content-Length as sent, which the server holds the client to; None without a valid one."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            declared: bytes = value
            return declared if declared.isdigit() else None
    return None
