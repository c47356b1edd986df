from starlette.types import ASGIApp, Receive, Scope, Send

from internal.core.errors import PayloadTooLarge
from internal.middlewares.reply import send_error


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
                if name == b"content-length" and value.isdigit() and int(value) > self._max_bytes:
                    await send_error(scope, send, PayloadTooLarge(headers={"connection": "close"}))
                    return
        await self._app(scope, receive, send)
