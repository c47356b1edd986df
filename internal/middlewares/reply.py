"""The envelope for replies that are made before FastAPI is reached."""

from starlette.datastructures import Headers
from starlette.types import Scope, Send

from internal.core.context import current_trace_id
from internal.core.envelope import error_body
from internal.core.errors import ServiceError
from internal.core.language import preferred_language


async def send_error(scope: Scope, send: Send, error: ServiceError) -> None:
    """Sends the whole reply of an error."""
    language = preferred_language(Headers(scope=scope).get("accept-language", ""))
    body = error_body(error, language, current_trace_id())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in error.headers.items()
        ),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
