import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.errors import SlowClient, TimedOut
from internal.middlewares.reply import send_error


@dataclass(slots=True, eq=False)
class _InFlight:
    task: asyncio.Task[None]
    deadline: float
    awaits_body: bool = False
    expired: bool = False


class TimeoutMiddleware:
    """Ends a request that takes too long: 408 while its body is awaited, 504 while we work on it.

    The time counts until the reply starts; a stream may go on for as long as it likes. One sweep
    over the requests in flight stands for a timer each, which would cost every request several
    microseconds; a request may therefore run over by the sweep's interval.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._interval = min(1.0, seconds / 10)
        self._in_flight: set[_InFlight] = set()
        self._is_sweeping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = self._enter()

        async def receive_watched() -> Message:
            request.awaits_body = True
            message = await receive()
            request.awaits_body = False
            return message

        async def send_watched(message: Message) -> None:
            self._in_flight.discard(request)
            await send(message)

        try:
            await self._app(scope, receive_watched, send_watched)
        except asyncio.CancelledError:
            if not request.expired or request.task.uncancel() > 0:
                raise
            slow = SlowClient(headers={"connection": "close"})
            await send_error(scope, send, slow if request.awaits_body else TimedOut())
        finally:
            self._in_flight.discard(request)

    def _enter(self) -> _InFlight:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - we are in a coroutine
        request = _InFlight(task, loop.time() + self._seconds)
        self._in_flight.add(request)
        if not self._is_sweeping:
            self._is_sweeping = True
            loop.call_later(self._interval, self._sweep, loop)
        return request

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for request in [request for request in self._in_flight if request.deadline <= now]:
            self._in_flight.discard(request)
            request.expired = True
            request.task.cancel()
        self._is_sweeping = bool(self._in_flight)
        if self._is_sweeping:
            loop.call_later(self._interval, self._sweep, loop)
