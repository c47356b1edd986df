"""`/v1/jobs/{job_id}/export`: the file that a job has made."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AdminCaller
from internal.controllers.paths import IdPath
from internal.controllers.replies import errors
from internal.core.errors import NotFound

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_MEDIA_TYPE = "text/csv; charset=utf-8"
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}, "example": '"id"\r\n"1"\r\n'}}}
}


@router.get(
    "/{job_id}/export",
    operation_id="downloadExport",
    response_class=FileResponse,
    responses=_FILE | errors(NotFound),
)
async def download_export(
    job_id: IdPath, caller: AdminCaller, resources: ResourcesDep
) -> FileResponse:
    """The file of an export that has succeeded. It is kept for a week."""
    path = await resources.services.exports.find(caller, job_id)
    return FileResponse(path, media_type=_MEDIA_TYPE, filename=f"export-{job_id}.csv")
