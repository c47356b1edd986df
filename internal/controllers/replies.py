"""How replies are described in the OpenAPI document."""

from itertools import groupby
from typing import Any

from internal.core.errors import ServiceError, TooManyRequests, ValidationFailed

type Json = dict[str, Any]

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ERROR_SCHEMA = "ErrorEnvelope"
HEADERS: dict[str, Json] = {
    "X-Trace-ID": {
        "description": "The trace id, 32 hex digits.",
        "schema": {"type": "string", "examples": [TRACE_ID]},
    },
    "Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "string", "examples": ["30"]},
    },
    "RateLimit": {
        "description": "Requests that remain (r) and the seconds until it starts anew (t).",
        "schema": {"type": "string", "examples": ['"default";r=599;t=60']},
    },
    "RateLimit-Policy": {
        "description": "Requests (q) in a window of seconds (w).",
        "schema": {"type": "string", "examples": ['"default";q=600;w=60']},
    },
    "Idempotent-Replayed": {
        "description": "`true` where this is the stored reply of an earlier request.",
        "schema": {"type": "string", "examples": ["true"]},
    },
    "WWW-Authenticate": {
        "description": "The scheme to authenticate with.",
        "schema": {"type": "string", "examples": ["Bearer"]},
    },
}
_FIELD_ERRORS = [{"field": "body.name", "type": "missing", "message": "Field required"}]


def errors(*outcomes: type[ServiceError]) -> dict[int | str, Json]:
    """The `responses` of a route that may end with one of these."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.status)
    return {
        status: _response(list(group))
        for status, group in groupby(ordered, key=lambda outcome: outcome.status)
    }


def is_error(described: Json) -> bool:
    """Whether it is a description made here."""
    return ERROR_SCHEMA in str(described.get("content", ""))


def merged(described: Json, further: type[ServiceError]) -> Json:
    """A description that tells about one more outcome of its status."""
    if not described:
        return _response([further])
    if not is_error(described):
        return described  # the route's own, of data that it knows better
    examples = described["content"]["application/json"]["examples"]
    return described | _content({further.__name__: _example(further), **examples})


def header_references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _response(outcomes: list[type[ServiceError]]) -> Json:
    names = ["X-Trace-ID", *outcomes[0].standing_headers]
    if issubclass(outcomes[0], TooManyRequests):
        names.append("Retry-After")
    return {
        "headers": header_references(*names),
        **_content({outcome.__name__: _example(outcome) for outcome in outcomes}),
    }


def _content(examples: Json) -> Json:
    schema = {"$ref": f"#/components/schemas/{ERROR_SCHEMA}"}
    return {
        "description": "; ".join(example["value"]["message"] for example in examples.values()),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _example(outcome: type[ServiceError]) -> Json:
    return {
        "value": {
            "code": outcome.code,
            "message": outcome.message.en,
            "data": _FIELD_ERRORS if outcome is ValidationFailed else None,
            "trace_id": TRACE_ID,
        }
    }
