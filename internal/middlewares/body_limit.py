from starlette.types import ASGIApp, Receive, Scope, Send

from internal.core.errors import PayloadTooLarge
from internal.middlewares.reply import send_error

_DIGITS = 19  # of the largest 63-bit number


class DeclaredBodyLimitMiddleware:
    """Answers a Content-Length over the limit in our envelope, before a byte is read.

    FastAPI's own limit, which counts what arrives, stays in force behind this one; but what it
    says to a declared length is plain text, sent over whatever the application wanted to say.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"content-length" and self._is_over(value):
                    await send_error(scope, send, PayloadTooLarge(headers={"connection": "close"}))
                    return
        await self._app(scope, receive, send)

    def _is_over(self, declared: bytes) -> bool:
        # A number of thousands of digits is no int for Python.
        return declared.isdigit() and (len(declared) > _DIGITS or int(declared) > self._max_bytes)
