"""A kind of job that anybody may ask for, with a payload that may be anything."""

from typing import Any

from internal.core.caller import Role
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, Kind
from internal.services.kinds import KINDS

ECHO = "test.echo"


class Payload(Request):
    text: str = ""
    number: int = 0


async def run(job: Execution[Payload]) -> dict[str, Any]:
    return job.payload.model_dump()


ALL_KINDS = {**KINDS, ECHO: Kind(ECHO, Payload, run, submitted_by=Role.USER)}
