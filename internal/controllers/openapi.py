"""The OpenAPI document: FastAPI's, with the doors, the envelope's errors and examples put in."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from internal.controllers.doors import AdminDoor, ClientDoor, door_of
from internal.controllers.examples import example_of
from internal.controllers.limits import limit_auth
from internal.controllers.once import IDEMPOTENCY_KEY
from internal.controllers.replies import (
    ERROR_SCHEMA,
    HEADERS,
    TRACE_ID,
    header_references,
    is_error,
    merged,
)
from internal.core.errors import (
    BadRequest,
    DependencyUnavailable,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    InvalidSignature,
    PayloadTooLarge,
    ServiceError,
    SlowClient,
    TimedOut,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMediaType,
    ValidationFailed,
)
from internal.core.signature import CLIENT_ID, NONCE, SIGNATURE, TIMESTAMP
from internal.services.idempotency import KeyReused, StillRunning

type Json = dict[str, Any]

_TAGS = {
    "auth": "Register, log in and out, one's own account.",
    "users": "Accounts: all for admins, one's own for everybody.",
    "clients": "API clients and their secrets, for admins.",
    "webhooks": "Where events are sent, and what they are signed with, for admins.",
    "jobs": "Work that outlives its request: one's own, all for admins.",
    "audit": "Who did what to which object, for admins.",
    "internal": "Signed requests of other services.",
    "health": "Probes.",
}
_ANYWHERE = (
    *(BadRequest, SlowClient, PayloadTooLarge, HeadersTooLarge),
    *(InternalError, DependencyUnavailable, TimedOut),
)
_SIGNATURE_PARTS = {
    "clientId": (CLIENT_ID, "The client's id."),
    "timestamp": (TIMESTAMP, "Unix seconds, at most 300 off."),
    "nonce": (NONCE, "16 to 64 of `A-Z a-z 0-9 _ -`, new for every request."),
    "signature": (SIGNATURE, "HMAC-SHA256 as 64 lower-case hex digits; docs/signing.md."),
}
_SECURITY: dict[str, list[Json]] = {
    "bearer": [{"bearer": []}],
    "signature": [{part: [] for part in _SIGNATURE_PARTS}],
}


def build_document(app: FastAPI) -> Json:
    """The document of an app, the same for every process of a release."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="Every reply is an envelope: code, message, data, trace_id.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas[ERROR_SCHEMA] = _error_schema()
    components["headers"] = HEADERS
    components["securitySchemes"] = _security_schemes()
    for route, operation in _operations(app, document):
        _describe_parameters(operation)
        _describe_replies(route, operation)
        _add_examples(operation, schemas)
        _share_errors(operation, components.setdefault("responses", {}))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["tags"] = _used_tags(document)
    return document


def _operations(app: FastAPI, document: Json) -> Iterator[tuple[APIRoute, Json]]:
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                yield route, document["paths"][route.path_format][method.lower()]


def _describe_parameters(operation: Json) -> None:
    """A parameter that may be left out is not one that may be null."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema.update(kinds[0])
        elif kinds:
            schema["anyOf"] = kinds
        schema.pop("description", None)  # it is the parameter's already


def _describe_replies(route: APIRoute, operation: Json) -> None:
    responses: Json = operation["responses"]
    responses.pop("422", None)
    for status, declared in (route.responses or {}).items():
        if is_error(declared):
            responses[str(status)] = declared  # FastAPI drops what is null in examples
    for outcome in _outcomes(route, operation):
        status = str(outcome.status)
        responses[status] = merged(responses.get(status, {}), outcome)
    for status, response in responses.items():
        if not is_error(response):
            response["headers"] = header_references(*_success_headers(route, operation))
            response["description"] = HTTPStatus(int(status)).phrase
            for media in response.get("content", {}).values():
                if "itemSchema" in media:  # of OpenAPI 3.2; FastAPI's document is one of 3.1
                    media["schema"] = media.pop("itemSchema")
    operation["responses"] = dict(sorted(responses.items()))
    door = door_of(route)
    operation["security"] = _SECURITY[door.scheme] if door else []
    if isinstance(door, ClientDoor) and door.scope:
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{door.scope}`."


def _outcomes(route: APIRoute, operation: Json) -> Iterator[type[ServiceError]]:
    """What may come of every such route, beside what it declares itself."""
    yield from _ANYWHERE
    if "requestBody" in operation:
        yield UnsupportedMediaType
    if "requestBody" in operation or "parameters" in operation:
        yield ValidationFailed
    if _is_done_once(operation):
        yield StillRunning
        yield KeyReused
    door = door_of(route)
    if isinstance(door, ClientDoor):
        yield InvalidSignature
    elif door:
        yield Unauthenticated
    if isinstance(door, AdminDoor) or (isinstance(door, ClientDoor) and door.scope):
        yield Forbidden
    if _is_limited(route):
        yield TooManyRequests


def _success_headers(route: APIRoute, operation: Json) -> Iterator[str]:
    yield "X-Trace-ID"
    if _is_limited(route):
        yield from ("RateLimit", "RateLimit-Policy")
    if _is_done_once(operation):
        yield "Idempotent-Replayed"


def _is_limited(route: APIRoute) -> bool:
    return door_of(route) is not None or any(
        dependency.dependency is limit_auth for dependency in route.dependencies
    )


def _is_done_once(operation: Json) -> bool:
    return any(item["name"] == IDEMPOTENCY_KEY for item in operation.get("parameters", ()))


def _add_examples(operation: Json, schemas: Json) -> None:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        for media in body.get("content", {}).values():
            if media.keys().isdisjoint({"example", "examples"}):
                media["example"] = example_of(media["schema"], schemas)


def _share_errors(operation: Json, shared: Json) -> None:
    """Moves the descriptions of errors to where all operations can refer to them."""
    for status, response in operation["responses"].items():
        if is_error(response):
            name = "Or".join(response["content"]["application/json"]["examples"])
            shared[name] = response
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _used_tags(document: Json) -> list[Json]:
    used = {
        tag
        for path in document["paths"].values()
        for operation in path.values()
        for tag in operation.get("tags", ())
    }
    return [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]


def _error_schema() -> Json:
    return {
        "title": ERROR_SCHEMA,
        "type": "object",
        "required": ["code", "message", "data", "trace_id"],
        "properties": {
            "code": {"type": "integer", "examples": [40004]},
            "message": {"type": "string", "examples": ["not found"]},
            "data": {"description": "more about it, as the error has it; null otherwise"},
            "trace_id": {"type": "string", "examples": [TRACE_ID]},
        },
    }


def _security_schemes() -> Json:
    signature = {
        part: {"type": "apiKey", "in": "header", "name": header, "description": text}
        for part, (header, text) in _SIGNATURE_PARTS.items()
    }
    return {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}, **signature}
