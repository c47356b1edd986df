"""Files that jobs have made, for those who may have them."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

from internal.core.caller import Caller
from internal.core.errors import NotFound
from internal.core.job_status import JobStatus
from internal.dao.jobs import JobDAO
from internal.infra.export_files import ExportFiles, NewFile
from internal.services.authorization import require_admin
from internal.services.unit_of_work import UnitOfWork


class Exports:
    """One file an attempt at a job: one that froze and wakes does not write over a later one's."""

    def __init__(self, files: ExportFiles, unit_of_work: UnitOfWork) -> None:
        self._files = files
        self._unit_of_work = unit_of_work

    def create(self, job_id: int, attempt: int) -> AbstractAsyncContextManager[NewFile]:
        """The file of an attempt; it is the job's if the attempt succeeds. Raises OSError."""
        return self._files.create(_name(job_id, attempt))

    async def find(self, caller: Caller, job_id: int) -> Path:
        """Where the file of a job is.

        Raises:
            Forbidden: for everybody but admins.
            NotFound: the job has made none, has not succeeded, or it was deleted.
        """
        require_admin(caller)
        async with self._unit_of_work.read() as session:
            job = await JobDAO(session).get(job_id)
        if job is None or job.status != JobStatus.SUCCEEDED:
            raise NotFound
        path = await self._files.find(_name(job.id, job.attempt))
        if path is None:
            raise NotFound
        return path

    async def purge(self, caller: Caller, written_before: datetime) -> int:
        """Deletes files that are older; returns how many. Raises Forbidden, OSError."""
        require_admin(caller)
        return await self._files.purge(written_before)


def _name(job_id: int, attempt: int) -> str:
    return f"{job_id}-{attempt}.csv"
