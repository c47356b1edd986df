import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.errors import SlowClient, TimedOut
from internal.middlewares.reply import send_error


class TimeoutMiddleware:
    """Ends a request that takes too long: 408 while its body is awaited, 504 while we work on it.

    The time counts until the reply starts; a stream may go on for as long as it likes.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        awaits_body = False

        async def receive_watched() -> Message:
            nonlocal awaits_body
            awaits_body = True
            message = await receive()
            awaits_body = False
            return message

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                timeout.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as timeout:
                await self._app(scope, receive_watched, send_watched)
        except TimeoutError:
            if not timeout.expired():
                raise
            error = SlowClient(headers={"connection": "close"}) if awaits_body else TimedOut()
            await send_error(scope, send, error)
