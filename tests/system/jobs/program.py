"""The `groundwork` command with a kind of job more, whose effects can be counted. `python -m …`."""

import asyncio
import random
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import text

from internal import cli
from internal.core.backoff import RetryPolicy
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, Kind
from internal.services.kinds import KINDS

EFFECTS = "CREATE TABLE effects (job_id BIGINT NOT NULL, number BIGINT NOT NULL)"


class Payload(Request):
    number: int
    seconds: float = 0.0


async def run(job: Execution[Payload]) -> None:
    """Works for a moment, or as long as it is told, and leaves a row that nothing keeps unique."""
    await asyncio.sleep(job.payload.seconds or random.uniform(0.0, 0.02))
    async with job.complete({"number": job.payload.number}) as session:
        await session.execute(
            text("INSERT INTO effects (job_id, number) VALUES (:job_id, :number)"),
            {"job_id": job.job_id, "number": job.payload.number},
        )


# Whoever dies fifty times in a hundred seconds needs more than five attempts.
KIND = Kind(
    "test.effect",
    Payload,
    run,
    retry=RetryPolicy(100, first=timedelta(seconds=0.5), longest=timedelta(seconds=5)),
)


def main() -> None:
    cast("dict[str, Kind[Any]]", KINDS)[KIND.name] = KIND
    cli.main()


if __name__ == "__main__":
    main()
