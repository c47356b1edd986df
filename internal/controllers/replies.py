"""How replies are described in the OpenAPI document."""

from itertools import groupby
from typing import Any

from internal.core.errors import ServiceError

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ERROR_SCHEMA = "ErrorEnvelope"


def errors(*outcomes: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may end with one of these."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.status)
    return {
        status: _response(list(group))
        for status, group in groupby(ordered, key=lambda outcome: outcome.status)
    }


def merged(described: dict[str, Any], further: type[ServiceError]) -> dict[str, Any]:
    """A description that tells about one more outcome of its status."""
    ours = _response([further])
    if ERROR_SCHEMA not in str(described.get("content", {})):
        return ours
    examples = described["content"]["application/json"]["examples"]
    return described | _content(ours["content"]["application/json"]["examples"] | examples)


def _response(outcomes: list[type[ServiceError]]) -> dict[str, Any]:
    description = "; ".join(outcome.message.en for outcome in outcomes)
    return {"description": description, **_content({o.__name__: _example(o) for o in outcomes})}


def _content(examples: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{ERROR_SCHEMA}"}
    return {"content": {"application/json": {"schema": schema, "examples": examples}}}


def _example(outcome: type[ServiceError]) -> dict[str, Any]:
    return {
        "value": {
            "code": outcome.code,
            "message": outcome.message.en,
            "data": None,
            "trace_id": TRACE_ID,
        }
    }
