"""The OpenAPI document: FastAPI's, with the doors, the envelope's errors and examples put in."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from internal.controllers.doors import AdminDoor, ClientDoor, door_of
from internal.controllers.limits import limit_auth
from internal.controllers.replies import ERROR_SCHEMA, TRACE_ID, merged
from internal.core.errors import (
    BadRequest,
    DependencyUnavailable,
    Forbidden,
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

type Json = dict[str, Any]

_ANYWHERE = (BadRequest, SlowClient, InternalError, DependencyUnavailable, TimedOut)
_WITH_BODY = (PayloadTooLarge, UnsupportedMediaType)
_SIGNATURE_PARTS = {
    "clientId": CLIENT_ID,
    "timestamp": TIMESTAMP,
    "nonce": NONCE,
    "signature": SIGNATURE,
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
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[ERROR_SCHEMA] = _error_schema()
    document["components"]["securitySchemes"] = _security_schemes()
    for route, operation in _operations(app, document):
        _describe(route, operation)
        _add_examples(operation, schemas)
        _share_errors(operation, document["components"].setdefault("responses", {}))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _operations(app: FastAPI, document: Json) -> Iterator[tuple[APIRoute, Json]]:
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                yield route, document["paths"][route.path_format][method.lower()]


def _describe(route: APIRoute, operation: Json) -> None:
    responses: Json = operation["responses"]
    responses.pop("422", None)
    for outcome in _outcomes(route, operation):
        status = str(outcome.status)
        responses[status] = merged(responses.get(status, {}), outcome)
    operation["responses"] = dict(sorted(responses.items()))
    door = door_of(route)
    operation["security"] = _SECURITY[door.scheme] if door else []
    if isinstance(door, ClientDoor) and door.scope:
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{door.scope}`."


def _outcomes(route: APIRoute, operation: Json) -> Iterator[type[ServiceError]]:
    """What may come of every such route, beside what it declares itself."""
    yield from _ANYWHERE
    if "requestBody" in operation:
        yield from _WITH_BODY
    if "requestBody" in operation or "parameters" in operation:
        yield ValidationFailed
    door = door_of(route)
    if isinstance(door, ClientDoor):
        yield InvalidSignature
    elif door:
        yield Unauthenticated
    if isinstance(door, AdminDoor) or (isinstance(door, ClientDoor) and door.scope):
        yield Forbidden
    if door or any(dependency.dependency is limit_auth for dependency in route.dependencies):
        yield TooManyRequests


def _add_examples(operation: Json, schemas: Mapping[str, Json]) -> None:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for body in bodies:
        for media in body.get("content", {}).values():
            if "examples" not in media and "schema" in media:
                media["example"] = _example_of(media["schema"], schemas)


def _share_errors(operation: Json, shared: Json) -> None:
    """Moves the descriptions of errors to where all operations can refer to them."""
    for status, response in operation["responses"].items():
        media = response.get("content", {}).get("application/json", {})
        if "examples" in media:
            name = "Or".join(media["examples"])
            shared[name] = response
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _example_of(schema: Json, schemas: Mapping[str, Json]) -> object:
    """An example put together from those of the fields."""
    if "$ref" in schema:
        return _example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for given in ("examples", "example", "default", "enum"):
        if given in schema and schema[given] is not None:
            return schema[given][0] if given in ("examples", "enum") else schema[given]
    if "anyOf" in schema:
        return _example_of(schema["anyOf"][0], schemas)
    if schema.get("type") == "object":
        fields: Json = schema.get("properties", {})
        return {name: _example_of(field, schemas) for name, field in fields.items()}
    if schema.get("type") == "array":
        return [_example_of(schema["items"], schemas)]
    return None


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
        part: {"type": "apiKey", "in": "header", "name": header, "description": "docs/signing.md"}
        for part, header in _SIGNATURE_PARTS.items()
    }
    return {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}, **signature}
