"""`/v1/jobs`: work that outlives its request."""

from collections.abc import AsyncIterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import UserCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.controllers.once import IdempotencyKey, create_once
from internal.controllers.replies import errors
from internal.core.envelope import Envelope, Page
from internal.core.errors import NotFound, PayloadTooLarge
from internal.core.job_status import JobStatus
from internal.dao.base import ListQuery
from internal.models.job import Job
from internal.schemas.fields import Id
from internal.schemas.jobs import JobEventView, JobView, KindName, NewJob
from internal.services.jobs.service import JobFinished, NotRetriable

RECONNECT_MILLISECONDS = 3000

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# One event of the stream, as it looks on the wire.
_EVENT = (
    'event: running\ndata: {"sequence":2,"status":"running","attempt":1,'
    '"at":"2026-01-02T03:04:05.678901Z","message":null}\nid: 2\n\n'
)
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENT}}}
}

type JobId = Annotated[Id, Path()]
type LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,9}$",
        description="the last event that was received: what came after it is sent",
        examples=["2"],
    ),
]


@router.post(
    "",
    operation_id="createJob",
    status_code=202,
    response_model=Envelope[JobView],
    responses=errors(PayloadTooLarge),
)
async def create_job(
    body: NewJob,
    request: Request,
    caller: UserCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Accepts a job: it is executed at least once, its effects in the database exactly once."""
    jobs = resources.services.jobs

    async def submit(session: AsyncSession) -> JobView:
        return JobView.of(await jobs.submit(session, caller, body))

    response = await create_once(request, caller, key, submit, status=202)
    jobs.committed.set()
    return response


@router.get("", operation_id="listJobs")
async def list_jobs(  # noqa: PLR0913, PLR0917 - one argument a query parameter
    caller: UserCaller,
    resources: ResourcesDep,
    page: PageNumber = 1,
    limit: Limit = 20,
    sort: Literal["id", "-id"] = "-id",
    kind: Annotated[KindName | None, Query()] = None,
    status: JobStatus | None = None,
) -> Envelope[Page[JobView]]:
    """One page, the newest first: one's own, for admins everybody's."""
    query = ListQuery.of(page, limit, sort, {"kind": kind, "status": status})
    listing = await resources.services.jobs.list(caller, query)
    return Envelope(data=page_of(query, listing, JobView.of))


@router.get("/{job_id}", operation_id="getJob", responses=errors(NotFound))
async def get_job(job_id: JobId, caller: UserCaller, resources: ResourcesDep) -> Envelope[JobView]:
    """A job and how it stands."""
    return Envelope(data=JobView.of(await resources.services.jobs.get(caller, job_id)))


@router.post("/{job_id}/cancel", operation_id="cancelJob", responses=errors(NotFound, JobFinished))
async def cancel_job(
    job_id: JobId, caller: UserCaller, resources: ResourcesDep
) -> Envelope[JobView]:
    """Cancels a job that waits; asks one that runs to stop, which takes some seconds."""
    return Envelope(data=JobView.of(await resources.services.jobs.cancel(caller, job_id)))


@router.post("/{job_id}/retry", operation_id="retryJob", responses=errors(NotFound, NotRetriable))
async def retry_job(
    job_id: JobId, caller: UserCaller, resources: ResourcesDep
) -> Envelope[JobView]:
    """Puts a job that failed, died or was cancelled back into the queue."""
    return Envelope(data=JobView.of(await resources.services.jobs.retry(caller, job_id)))


async def get_visible_job(job_id: JobId, caller: UserCaller, resources: ResourcesDep) -> Job:
    """Before the stream begins: afterwards, there is no other status to answer with."""
    return await resources.services.jobs.get(caller, job_id)


@router.get(
    "/{job_id}/events",
    operation_id="followJob",
    response_class=EventSourceResponse,
    responses=_STREAM | errors(NotFound),
)
async def follow_job(
    job: Annotated[Job, Depends(get_visible_job)],
    resources: ResourcesDep,
    last_event_id: LastEventId = None,
) -> AsyncIterable[ServerSentEvent]:
    """The job's changes as server-sent events, from its first one to its end.

    Every 15 seconds a comment keeps the connection alive. A stream that ends before the job does
    says when to come back.
    """
    status = JobStatus.QUEUED
    async for event in resources.job_watch.follow(job.id, int(last_event_id or 0)):
        status = JobStatus(event.status)
        yield ServerSentEvent(
            data=JobEventView.of(event), event=event.status, id=str(event.sequence)
        )
    if not status.is_final:
        yield ServerSentEvent(comment="to be continued", retry=RECONNECT_MILLISECONDS)
