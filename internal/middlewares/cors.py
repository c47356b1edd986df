from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware as StarletteCORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from internal.core.context import current_trace_id
from internal.core.envelope import error_body
from internal.core.errors import BadRequest, Text
from internal.core.language import preferred_language


class DisallowedCors(BadRequest):
    message = Text("this cross-origin request is not allowed", "不允许该跨域请求")


class CORSMiddleware(StarletteCORSMiddleware):
    """Starlette's, for an explicit list of origins; its refusals are in our envelope."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Trace-ID"],
            expose_headers=[
                "X-Trace-ID",
                "Retry-After",
                "RateLimit",
                "RateLimit-Policy",
                "Idempotent-Replayed",
            ],
            max_age=600,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == DisallowedCors.status:
            language = preferred_language(request_headers.get("accept-language", ""))
            response.body = error_body(DisallowedCors(), language, current_trace_id())
            response.headers["content-type"] = "application/json"
            response.headers["content-length"] = str(len(response.body))
        return response
