"""The one family of errors that a reply can be made of, each with its code, status and message."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

# What nginx logs for a client that went away before its reply.
CLIENT_CLOSED_REQUEST = 499


class Text(NamedTuple):
    """A message to a user in the two languages of the service."""

    en: str
    zh: str


class ServiceError(Exception):
    """An outcome the client is told about.

    Services raise a subclass; the controllers' error handlers turn it into the envelope. A more
    precise message is a subclass with its own `message`.

    Args:
        data: goes into the reply's `data` as it is; must be JSON and hold no secret.
        headers: extra headers of the reply, beside those that every error of its kind has.
    """

    code: ClassVar[int]
    status: ClassVar[int]
    message: ClassVar[Text]
    standing_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, data: object = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.message.en)
        self.data: Any = data
        self.headers = {**self.standing_headers, **(headers or {})}


class BadRequest(ServiceError):
    code, status, message = 40000, 400, Text("bad request", "请求有误")


class Unauthenticated(ServiceError):
    """A 401 says how to authenticate (RFC 9110 §11.6.1)."""

    code, status, message = 40001, 401, Text("authentication required", "需要登录")
    standing_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class InvalidSignature(ServiceError):
    code, status, message = 40002, 401, Text("invalid signature", "签名无效")
    standing_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "GW1-HMAC-SHA256"}


class Forbidden(ServiceError):
    code, status, message = 40003, 403, Text("forbidden", "没有权限")


class NotFound(ServiceError):
    code, status, message = 40004, 404, Text("not found", "未找到")


class PayloadTooLarge(ServiceError):
    code, status, message = 40005, 413, Text("request body too large", "请求体过大")


class ValidationFailed(ServiceError):
    """`data` is a list of field errors: `{"field", "type", "message"}`."""

    code, status, message = 40006, 422, Text("validation failed", "参数校验失败")


class MethodNotAllowed(ServiceError):
    code, status, message = 40008, 405, Text("method not allowed", "不支持该请求方法")


class Conflict(ServiceError):
    code, status, message = 40009, 409, Text("conflict", "与现有数据冲突")


class UnsupportedMediaType(ServiceError):
    code, status, message = 40015, 415, Text("unsupported media type", "不支持的媒体类型")


class TooManyRequests(ServiceError):
    code, status, message = 40029, 429, Text("too many requests", "请求过于频繁")


class HeadersTooLarge(ServiceError):
    """RFC 6585 §5."""

    code, status, message = 40031, 431, Text("request headers too large", "请求头过大")


class SlowClient(ServiceError):
    code, status, message = 40800, 408, Text("the request took too long to arrive", "请求接收超时")


class InternalError(ServiceError):
    code, status, message = 50000, 500, Text("internal error", "服务器内部错误")


class DependencyUnavailable(ServiceError):
    code, status, message = 50003, 503, Text("temporarily unavailable", "服务暂时不可用")


class TimedOut(ServiceError):
    code, status, message = 50004, 504, Text("the service took too long", "服务处理超时")


_BY_STATUS: dict[int, type[ServiceError]] = {
    error.status: error
    for error in (
        BadRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        SlowClient,
        Conflict,
        PayloadTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
        TooManyRequests,
        HeadersTooLarge,
        InternalError,
        DependencyUnavailable,
        TimedOut,
    )
}


def error_for_status(status: int) -> type[ServiceError]:
    """The error that stands for a bare HTTP status, as frameworks raise it.

    A status without a code of its own becomes its class's general one: 4xx a bad request, 5xx an
    internal error.
    """
    general = BadRequest if status < InternalError.status else InternalError
    return _BY_STATUS.get(status, general)


class StartError(Exception):
    """A part that cannot start. Its text is the one line the operator reads: no secret in it."""
