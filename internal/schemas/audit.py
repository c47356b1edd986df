from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from internal.schemas.fields import Id
from internal.schemas.shapes import Request, View

MAX_EXACT = (1 << 53) - 1  # what every reader of JSON takes as it is (RFC 8259 §6)
_WORD = r"^[a-z][a-z0-9_.-]*$"

type Action = Annotated[
    str, StringConstraints(pattern=_WORD, max_length=64), Field(examples=["invoice.cancel"])
]
type ObjectType = Annotated[
    str, StringConstraints(pattern=_WORD, max_length=32), Field(examples=["invoice"])
]


# Bounded: a hundred events are one reply, and a bounded string is one that UTF-8 can write.
_Key = Annotated[str, Field(max_length=64)]
_Text = Annotated[str, Field(max_length=1024)]
_Number = Annotated[int, Field(ge=-MAX_EXACT, le=MAX_EXACT)]


class NewAuditEvent(Request):
    """What another service reports that it, or somebody through it, has done."""

    action: Action
    object_type: ObjectType
    object_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")] = Field(
        max_length=64, examples=["2026-0042"]
    )
    details: dict[_Key, _Text | _Number | bool | None] = Field(
        default={}, max_length=32, examples=[{"reason": "duplicate"}]
    )


class AuditEventView(View):
    id: Id
    created_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])
    actor_kind: str = Field(examples=["user"])
    actor_id: Id | None = Field(examples=["7201443112960000"])
    action: str = Field(examples=["user.update"])
    object_type: str = Field(examples=["user"])
    object_id: str = Field(examples=["7201443112960000"])
    address: str = Field(examples=["203.0.113.9"])
    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    details: dict[str, Any] = Field(examples=[{"disabled": True}])
