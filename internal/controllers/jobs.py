"""`/v1/jobs`: work that outlives its request. Users see their own, admins all."""

import random
from collections.abc import AsyncGenerator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import UserCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.controllers.once import IdempotencyKey, create_once
from internal.controllers.paths import IdPath
from internal.controllers.replies import errors
from internal.core.envelope import Envelope, Page
from internal.core.errors import NotFound
from internal.core.job_status import JobStatus
from internal.dao.base import ListQuery
from internal.schemas.jobs import JobEventView, JobView, KindName, NewJob
from internal.services.jobs.service import JobFinished, NotRetriable, TooFarAhead, UnknownKind
from internal.services.jobs.watch import JobStream, TooManyOwnStreams, TooManyStreams

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# Streams that end together must not come back together.
RETRY_MILLISECONDS = (1000, 5000)
MAX_SEQUENCE = (1 << 31) - 1

_EVENT = {
    "event": "running",
    "data": '{"sequence":2,"status":"running","attempt":1,"at":"2026-01-02T03:04:05.678901Z",'
    '"message":null}',
    "id": "2",
}

type LastEventId = Annotated[
    int,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=MAX_SEQUENCE,
        description="The id of the last event that has arrived; a browser sends it by itself.",
        examples=[1],
    ),
]


@router.post(
    "",
    operation_id="createJob",
    status_code=202,
    response_model=Envelope[JobView],
    responses=errors(UnknownKind, TooFarAhead),
)
async def create_job(
    body: NewJob,
    request: Request,
    caller: UserCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Accepts a job: it is executed at least once, from `run_at` on. Which kinds: docs/jobs.md."""
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
    """One page of the caller's own jobs, of everybody's for admins; the newest first."""
    query = ListQuery.of(page, limit, sort, {"kind": kind, "status": status})
    listing = await resources.services.jobs.list(caller, query)
    return Envelope(data=page_of(query, listing, JobView.of))


@router.get("/{job_id}", operation_id="getJob", responses=errors(NotFound))
async def get_job(job_id: IdPath, caller: UserCaller, resources: ResourcesDep) -> Envelope[JobView]:
    """A job. One of somebody else's is not found, but by admins."""
    return Envelope(data=JobView.of(await resources.services.jobs.get(caller, job_id)))


@router.post("/{job_id}/cancel", operation_id="cancelJob", responses=errors(NotFound, JobFinished))
async def cancel_job(
    job_id: IdPath, caller: UserCaller, resources: ResourcesDep
) -> Envelope[JobView]:
    """Cancels at once what waits. What runs is asked to stop: `cancelled` follows in seconds."""
    return Envelope(data=JobView.of(await resources.services.jobs.cancel(caller, job_id)))


@router.post("/{job_id}/retry", operation_id="retryJob", responses=errors(NotFound, NotRetriable))
async def retry_job(
    job_id: IdPath, caller: UserCaller, resources: ResourcesDep
) -> Envelope[JobView]:
    """Puts a job that failed, died or was cancelled back, with all its attempts before it."""
    return Envelope(data=JobView.of(await resources.services.jobs.retry(caller, job_id)))


async def open_stream(
    job_id: IdPath,
    caller: UserCaller,
    resources: ResourcesDep,
    response: Response,
    last_event_id: LastEventId = 0,
) -> AsyncGenerator[JobStream]:
    """A dependency, because what it refuses must be refused before the reply has started."""
    job = await resources.services.jobs.get(caller, job_id)
    with resources.job_watch.stream(caller, job, last_event_id) as stream:
        if JobStatus(job.status).is_final and last_event_id >= job.events:
            response.status_code = 204
            stream.finish()
        yield stream


@router.get(
    "/{job_id}/events",
    operation_id="followJob",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": _EVENT}}},
        204: {"description": "The job is finished, and its last event has arrived before."},
        **errors(NotFound, TooManyOwnStreams, TooManyStreams),
    },
)
async def follow_job(
    stream: Annotated[JobStream, Depends(open_stream)],
) -> AsyncGenerator[ServerSentEvent]:
    """The job's changes of status as server-sent events, from the first, until its final status.

    `id` is the number of the event, `event` its status. A stream that ends before has sent `retry`:
    open it again, with `Last-Event-ID`.
    """
    while events := await stream.next_events():
        for event in events:
            view = JobEventView.of(event)
            yield ServerSentEvent(data=view, event=event.status, id=str(event.sequence))
    if stream.is_cut:
        yield ServerSentEvent(retry=random.randint(*RETRY_MILLISECONDS))  # noqa: S311 - no secret
