"""The shape of every JSON reply: `{"code", "message", "data", "trace_id"}`."""

import json

from pydantic import BaseModel, ConfigDict, Field

from internal.core.context import current_trace_id
from internal.core.errors import ServiceError
from internal.core.language import Language

OK = 20000


class Envelope[T](BaseModel):
    """A reply. The HTTP status is the true one; `code` refines it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    code: int = Field(default=OK, examples=[OK])
    message: str = Field(default="ok", examples=["ok"])
    data: T
    trace_id: str = Field(
        default_factory=current_trace_id, examples=["4bf92f3577b34da6a3ce929d0e0e4736"]
    )


class Page[T](BaseModel):
    """One page of a list. `page` counts from 1, `total` counts all pages' items."""

    items: list[T]
    page: int = Field(ge=1, examples=[1])
    limit: int = Field(ge=1, le=100, examples=[20])
    total: int = Field(ge=0, examples=[1])


def error_body(error: ServiceError, language: Language, trace_id: str) -> bytes:
    """The envelope of an error as JSON bytes."""
    return json.dumps(
        {
            "code": error.code,
            "message": getattr(error.message, language),
            "data": error.data,
            "trace_id": trace_id,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8", "replace")
