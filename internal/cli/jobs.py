import sys
from typing import TYPE_CHECKING, Annotated

import typer

from internal.cli.opening import run_with_services
from internal.core.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from internal.models.job import Job
    from internal.models.job_event import JobEvent
    from internal.services.assembly import Services

app = typer.Typer(help="Jobs, of everybody.", no_args_is_help=True)

MAX_DAYS = 36_500
MAX_ID = 9 * 10**18  # of 63 bits, as exact as the float that Click compares with

# No `type` statement: typer would not see the bounds through it.
JobId = Annotated[int, typer.Argument(help="The job's id.", min=0, max=MAX_ID)]


@app.command("list")
def list_jobs(
    page: Annotated[int, typer.Option(min=1)] = 1,
    kind: Annotated[str | None, typer.Option(help="Of this kind alone.")] = None,
    status: Annotated[JobStatus | None, typer.Option(help="In this status alone.")] = None,
) -> None:
    """Print a hundred jobs, the newest first: id, kind, status, attempts, due, error."""
    from internal.core.caller import OPERATOR
    from internal.dao.base import MAX_LIMIT, ListQuery

    query = ListQuery.of(page, MAX_LIMIT, "-id", {"kind": kind, "status": status})
    listing = run_with_services(lambda services: services.jobs.list(OPERATOR, query))
    for job in listing.rows:
        attempts = f"{job.attempt}/{job.max_attempts}"
        cells = (job.id, job.kind, job.status, attempts, _moment(job.next_run_at), _line(job.error))
        print(*cells, sep="\t")
    print(f"{listing.total} in all", file=sys.stderr)


@app.command()
def show(job_id: JobId) -> None:
    """Print a job as JSON, and its events: number, time, status, attempt, message."""
    from internal.core.caller import OPERATOR
    from internal.schemas.jobs import JobView

    async def read(services: "Services") -> "tuple[Job, Sequence[JobEvent]]":
        job = await services.jobs.get(OPERATOR, job_id)
        events: list[JobEvent] = []
        while more := await services.jobs.events(job_id, len(events)):
            events += more
        return job, events

    job, events = run_with_services(read)
    print(JobView.of(job).model_dump_json(indent=2))
    for event in events:
        cells = (_moment(event.at), event.status, event.attempt, _line(event.message))
        print(event.sequence, *cells, sep="\t")


@app.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job that waits; ask one that runs to stop."""
    from internal.core.caller import OPERATOR

    job = run_with_services(lambda services: services.jobs.cancel(OPERATOR, job_id))
    print(f"{'asked to stop' if job.cancel_requested else 'cancelled'}: {job.id}")


@app.command()
def retry(job_id: JobId) -> None:
    """Put a job that failed, died or was cancelled back into the queue."""
    from internal.core.caller import OPERATOR

    job = run_with_services(lambda services: services.jobs.retry(OPERATOR, job_id))
    print(f"queued: {job.id}")


@app.command()
def purge(
    older_than: Annotated[
        int, typer.Option(help="Days since the end of the job.", min=0, max=MAX_DAYS)
    ],
) -> None:
    """Delete jobs that ended so long ago, with their events."""
    from datetime import timedelta

    from internal.core.caller import OPERATOR
    from internal.core.clock import utc_now

    before = utc_now() - timedelta(days=older_than)

    async def delete(services: "Services") -> int:
        count = 0
        while deleted := await services.jobs.purge(OPERATOR, before, include_dead=True):
            count += deleted
        return count

    print(f"deleted: {run_with_services(delete)}")


def _moment(value: "datetime") -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def _line(text: str | None) -> str:
    """What may be anything, without what would end a cell or steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text or "") or "-"
