"""The one place that turns exceptions into replies."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from internal.controllers.ops.errors import error_page, is_page, remember
from internal.core.context import current_trace_id
from internal.core.envelope import error_body
from internal.core.errors import (
    CLIENT_CLOSED_REQUEST,
    BadRequest,
    DependencyUnavailable,
    InternalError,
    MethodNotAllowed,
    ServiceError,
    Text,
    UnsupportedMediaType,
    ValidationFailed,
    error_for_status,
)
from internal.core.language import Language, preferred_language
from internal.core.snowflake import IdsUnavailable
from internal.infra.database import DATABASE_AWAY, is_away
from internal.infra.redis import REDIS_AWAY

_log = logger.bind(logger="http")


type Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


class InvalidJson(BadRequest):
    message = Text("the body is not valid JSON", "请求体不是有效的 JSON")


def error_response(
    request: Request, error: ServiceError, cause: Exception | None = None
) -> Response:
    """Args: cause: what was raised, where it is not the error itself."""
    if error.status >= InternalError.status:
        remember(request, cause or error)
    if hasattr(request.app.state, "operations") and is_page(request.scope["path"]):
        return error_page(request, error)
    language = preferred_language(request.headers.get("accept-language", ""))
    return Response(
        error_body(error, language, current_trace_id()),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for it, tells the type checker
    return error_response(request, error)


async def _http_exception(request: Request, error: Exception) -> Response:
    """What the frameworks raise by themselves: 404, 405, 413, 400."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, ClientDisconnect):  # FastAPI takes it for a body it cannot read
        return await _client_left(request, error)
    reply = error_for_status(error.status_code)(headers=error.headers)
    if isinstance(reply, MethodNotAllowed):
        reply.headers = {"Allow": ", ".join(_allowed_methods(request))}
    return error_response(request, reply)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    language = preferred_language(request.headers.get("accept-language", ""))
    return error_response(request, _explain_validation(request, error, language))


async def _dependency_away(request: Request, error: Exception) -> Response:
    if isinstance(error, DATABASE_AWAY) and not is_away(error):
        raise error  # a defect of ours: 500, and its traceback in the log
    _log.bind(reason=str(error).partition("\n")[0]).error("a dependency is unavailable")
    return error_response(request, DependencyUnavailable(), error)


def _allowed_methods(request: Request) -> list[str]:
    """Of all routes at this path (RFC 9110 §10.2.1); the router names those of the first alone."""
    routes = [
        route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL
    ]
    return sorted({method for route in routes for method in route.methods or ()})


async def _client_left(_request: Request, _error: Exception) -> Response:
    """The client went away in the middle of its body: nobody reads this but the access log."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def unexpected(request: Request, error: Exception) -> Response:
    """The reply to what has no handler; the exception goes on to the access log, which tells it."""
    return error_response(request, InternalError(), error)


def _explain_validation(
    request: Request, error: RequestValidationError, language: Language
) -> ServiceError:
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return InvalidJson()
    if any(item["loc"] == ("body",) for item in found) and not _is_json(request):
        return UnsupportedMediaType()
    return ValidationFailed([_field_error(item, language) for item in found])


def _is_json(request: Request) -> bool:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    )
    return not has_body or content_type.endswith(("/json", "+json"))


def _field_error(item: Mapping[str, Any], language: Language) -> dict[str, str]:
    """Where (`body.user.name`), which rule (Pydantic's name of it), and what to do.

    The rejected value is left out: it may be a password.
    """
    kind = str(item["type"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if kind == "union_tag_invalid":
        message = (
            f"Input should be tagged {item['ctx']['expected_tags']}"  # its own repeats the tag
        )
    if language == "zh":
        template = _CHINESE.get(kind, "无效的值")
        message = template.format_map({**item.get("ctx", {})})
    field = ".".join(str(part) for part in item["loc"])
    return {"field": field, "type": kind, "message": message}


# What has a reply of its own, by class. Anything else is `unexpected`.
HANDLERS: dict[int | type[Exception], Handler] = {
    ServiceError: _service_error,
    HTTPException: _http_exception,
    RequestValidationError: _validation_error,
    **dict.fromkeys((*DATABASE_AWAY, *REDIS_AWAY, IdsUnavailable), _dependency_away),
    ClientDisconnect: _client_left,
}

# Pydantic's own messages are English; these are the ones that a form meets.
_CHINESE = {
    "missing": "必填",
    "extra_forbidden": "不允许的字段",
    "string_type": "应为字符串",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不正确",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "bool_type": "应为布尔值",
    "bool_parsing": "应为布尔值",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "应大于或等于 {ge}",
    "less_than": "应小于 {lt}",
    "less_than_equal": "应小于或等于 {le}",
    "list_type": "应为数组",
    "dict_type": "应为对象",
    "model_attributes_type": "应为对象",
    "model_type": "应为对象",
    "too_short": "至少 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "union_tag_invalid": "标签应为以下之一：{expected_tags}",
    "literal_error": "应为以下之一：{expected}",
    "enum": "应为以下之一：{expected}",
    "datetime_parsing": "应为日期时间",
    "datetime_from_date_parsing": "应为日期时间",
    "timezone_aware": "应带时区",
    "url_parsing": "应为 URL",
    "uuid_parsing": "应为 UUID",
}
