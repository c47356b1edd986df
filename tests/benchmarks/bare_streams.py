"""The yardstick of a fan-out: FastAPI's own streams of events, a queue each. `python … PORT`."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from internal.core.clock import utc_now
from internal.core.job_status import JobStatus
from internal.schemas.jobs import JobEventView
from tests.benchmarks.bare_server import serve

FIRST = JobEventView(sequence=1, status=JobStatus.QUEUED, attempt=0, at=utc_now(), message=None)

app = FastAPI()
readers: set[asyncio.Queue[JobEventView]] = set()


@app.get("/ready")
async def ready() -> None:
    """For the benchmark, which waits for a reply."""


@app.get("/events", response_class=EventSourceResponse)
async def follow() -> AsyncGenerator[ServerSentEvent]:
    queue = asyncio.Queue[JobEventView]()
    queue.put_nowait(FIRST)
    readers.add(queue)
    try:
        while True:
            view = await queue.get()
            yield ServerSentEvent(data=view, event=view.status, id=str(view.sequence))
    finally:
        readers.discard(queue)


@app.post("/events")
async def publish(request: Request) -> None:
    event = JobEventView.model_validate_json(await request.body())
    for queue in readers:
        queue.put_nowait(event)


if __name__ == "__main__":
    serve(app)
