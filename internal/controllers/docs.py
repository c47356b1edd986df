"""The API's document and its pages, in DEBUG only. Nothing on them comes from another host."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from internal.controllers.doors import LimitedPublicRoute

router = APIRouter(include_in_schema=False, route_class=LimitedPublicRoute)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Groundwork API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without `validatorUrl: null` the page asks a server of Swagger's what it thinks of the document.
_START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null
});
"""
_POLICY = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
}


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers=_POLICY)


@router.get("/docs/start.js")
async def start() -> HTMLResponse:
    return HTMLResponse(_START, media_type="text/javascript")


@router.get("/docs/{name}")
async def asset(
    name: Literal["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"],
) -> FileResponse:
    return FileResponse(_assets() / name)


def _assets() -> Path:
    """The folder of Swagger UI's files; its package is found, not imported."""
    spec = find_spec("fastapi_swagger")
    assert spec is not None  # noqa: S101 - a runtime dependency
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent / "resources"
