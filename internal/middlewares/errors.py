import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.errors import SlowClient, TimedOut
from internal.middlewares.reply import send_error

type Handler = Callable[[Request, Exception], Awaitable[Response]]


class _InFlight:
    """A request until its reply has started, between the server and the application."""

    __slots__ = (
        "_in_flight",
        "_receive",
        "_send",
        "awaits_body",
        "deadline",
        "expired",
        "has_reply",
        "task",
    )

    def __init__(
        self, in_flight: "set[_InFlight]", deadline: float, receive: Receive, send: Send
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in a coroutine
        self.task = task
        self.deadline = deadline
        self.awaits_body = self.expired = self.has_reply = False
        self._in_flight = in_flight
        self._receive = receive
        self._send = send
        in_flight.add(self)

    async def receive(self) -> Message:
        self.awaits_body = True
        message = await self._receive()
        self.awaits_body = False
        return message

    async def send(self, message: Message) -> None:
        self.has_reply = True
        self._in_flight.discard(self)
        await self._send(message)


class ErrorsMiddleware:
    """A reply for what the application raises, and 408 or 504 for what takes too long.

    It stands for two of Starlette's, whose wrappers around each request and each message of it
    cost more than all that is done here.

    The time counts until the reply starts; a stream may go on for as long as it likes. One sweep
    over the requests in flight stands for a timer each, which would cost every request several
    microseconds; a request may therefore run over by the sweep's interval.

    Args:
        unexpected: makes the reply to what the application has no handler for, and is told what
            breaks a reply that has begun; the exception goes on, to whoever logs it.
        seconds: until 408, where the body is awaited, or 504, where we work on it.
    """

    def __init__(self, app: ASGIApp, unexpected: Handler, seconds: float) -> None:
        self._app = app
        self._unexpected = unexpected
        self._seconds = seconds
        self._interval = min(1.0, seconds / 10)
        self._in_flight: set[_InFlight] = set()
        self._is_sweeping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Where routes look for them, too.
        scope["starlette.exception_handlers"] = scope["app"].exception_handlers, {}
        loop = asyncio.get_running_loop()
        request = _InFlight(self._in_flight, loop.time() + self._seconds, receive, send)
        if not self._is_sweeping:
            self._is_sweeping = True
            loop.call_later(self._interval, self._sweep, loop)
        try:
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            if not request.expired or request.task.uncancel() > 0:
                raise
            slow = SlowClient(headers={"connection": "close"})
            await send_error(scope, send, slow if request.awaits_body else TimedOut())
        except Exception as error:
            if request.has_reply:
                await self._unexpected(Request(scope, receive), error)  # nobody is sent it
                raise
            reply, unforeseen = await self._reply_to(Request(scope, receive), error)
            await reply(scope, receive, request.send)
            if unforeseen:
                raise unforeseen  # noqa: B904 - the error itself, or one whose context it is
        finally:
            self._in_flight.discard(request)

    async def _reply_to(
        self, request: Request, error: Exception
    ) -> tuple[Response, Exception | None]:
        """With what was not foreseen: an error without a handler, or what its handler raises."""
        handlers = request.app.exception_handlers
        handler = next((handlers[cls] for cls in type(error).__mro__ if cls in handlers), None)
        if handler:
            try:
                return await handler(request, error), None
            except Exception as raised:  # noqa: BLE001 - it becomes the reply, and goes on
                error = raised
        return await self._unexpected(request, error), error

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for request in [request for request in self._in_flight if request.deadline <= now]:
            self._in_flight.discard(request)
            request.expired = True
            request.task.cancel()
        self._is_sweeping = bool(self._in_flight)
        if self._is_sweeping:
            loop.call_later(self._interval, self._sweep, loop)
