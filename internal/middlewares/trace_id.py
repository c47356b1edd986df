from starlette.types import ASGIApp, Message, Receive, Scope, Send

from internal.core.context import incoming_trace_id, set_trace_id


class TraceIdMiddleware:
    """Takes or makes the trace id of a request, and echoes it on its reply."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        x_trace_id = traceparent = None
        for name, value in scope["headers"]:
            if name == b"x-trace-id":
                x_trace_id = value.decode("latin-1")
            elif name == b"traceparent":
                traceparent = value.decode("latin-1")
        trace_id = incoming_trace_id(x_trace_id, traceparent)
        set_trace_id(trace_id)
        header = (b"x-trace-id", trace_id.encode())

        async def send_traced(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_traced)
