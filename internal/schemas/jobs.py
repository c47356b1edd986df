from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints

from internal.core.job_status import JobStatus
from internal.schemas.fields import Id
from internal.schemas.shapes import Request, View

type KindName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=64),
    Field(examples=["maintenance.purge"]),
]
_TIME = "2026-01-02T03:04:05.678901Z"


class NewJob(Request):
    kind: KindName
    payload: dict[str, Any] = Field(
        default={}, description="in the kind's shape; at most 64 KiB", examples=[{}]
    )
    run_at: AwareDatetime | None = Field(
        default=None,
        description="not before then, at most a year ahead; one in the past is due at once",
        examples=[_TIME],
    )


class JobView(View):
    id: Id
    kind: KindName
    status: JobStatus = Field(examples=["succeeded"])
    owner_id: Id | None = Field(examples=["7201443112960000"])
    payload: dict[str, Any] = Field(examples=[{}])
    attempt: int = Field(description="how often it was started", examples=[1])
    max_attempts: int = Field(examples=[5])
    next_run_at: datetime = Field(examples=[_TIME])
    cancel_requested: bool = Field(examples=[False])
    result: Any = Field(examples=[{"rows": 3}])
    error: str | None = Field(description="of the last attempt", examples=["timed out"])
    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    created_at: datetime = Field(examples=[_TIME])
    finished_at: datetime | None = Field(examples=[_TIME])


class JobEventView(View):
    sequence: int = Field(examples=[2])
    status: JobStatus = Field(examples=["running"])
    attempt: int = Field(examples=[1])
    at: datetime = Field(examples=[_TIME])
    message: str | None = Field(examples=["timed out"])
