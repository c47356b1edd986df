"""The `groundwork` command with a kind of job more, that writes a row. `python -m …`."""

from typing import Any, cast

from sqlalchemy import insert

from internal import cli
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, Kind
from internal.services.kinds import KINDS
from tests.benchmarks.jobs_bare import EFFECTS


async def run(job: Execution[Request]) -> None:
    async with job.complete(None) as session:
        await session.execute(insert(EFFECTS).values(job_id=job.job_id))


def main() -> None:
    kind = Kind("bench.row", Request, run)
    cast("dict[str, Kind[Any]]", KINDS)[kind.name] = kind
    cli.main()


if __name__ == "__main__":
    main()
