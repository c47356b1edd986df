"""Files that jobs have made, for those who may have them."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

from internal.core.caller import Caller
from internal.core.errors import NotFound
from internal.infra.export_files import ExportFiles, NewFile
from internal.services.authorization import require_admin


class Exports:
    """One file a job, under the job's id."""

    def __init__(self, files: ExportFiles) -> None:
        self._files = files

    def create(self, job_id: int) -> AbstractAsyncContextManager[NewFile]:
        """The file of a job; a repeated attempt replaces it. Raises OSError."""
        return self._files.create(_name(job_id))

    async def find(self, caller: Caller, job_id: int) -> Path:
        """Where the file of a job is.

        Raises:
            Forbidden: for everybody but admins.
            NotFound: the job has made none, has not finished it, or it was deleted.
        """
        require_admin(caller)
        path = await self._files.find(_name(job_id))
        if path is None:
            raise NotFound
        return path

    async def purge(self, caller: Caller, written_before: datetime) -> int:
        """Deletes files that are older; returns how many. Raises Forbidden, OSError."""
        require_admin(caller)
        return await self._files.purge(written_before)


def _name(job_id: int) -> str:
    return f"{job_id}.csv"
