"""The `groundwork` command with kinds of jobs more. `python -m …`.

CLAIM_SECONDS in the environment makes claims run out sooner.
"""

import asyncio
import os
import random
import sys
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import text

from internal import cli
from internal.core.backoff import RetryPolicy
from internal.schemas.shapes import Request
from internal.services.jobs import states
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


async def kill(_job: Execution[Request]) -> None:
    """Takes the process that executes it along, every time."""
    os._exit(1)


async def leave(_job: Execution[Request]) -> None:
    """As a library does that takes itself for a program."""
    sys.exit(1)


TWICE = RetryPolicy(2, first=timedelta(seconds=0.1))
KILLER = Kind("test.kill", Request, kill, retry=TWICE)
LEAVER = Kind("test.leave", Request, leave, retry=TWICE)


def main() -> None:
    cast("dict[str, Kind[Any]]", KINDS).update({kind.name: kind for kind in (KIND, KILLER, LEAVER)})
    if seconds := os.environ.get("CLAIM_SECONDS"):
        states.CLAIM_LASTS = timedelta(seconds=float(seconds))
    cli.main()


if __name__ == "__main__":
    main()
