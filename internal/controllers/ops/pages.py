"""Templates to replies. Imports Jinja2: to be imported when a page is made, not at the start."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from internal.controllers.ops.assets import digest_of
from internal.controllers.ops.words import WORDS
from internal.core.errors import Text
from internal.core.language import preferred_language

# Without the referrer of the own site, a browser calls the origin of a form "null".
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "vary": "Accept-Language",
}
SHOWN_CHARACTERS = 500
WIDTH, HEIGHT = 600, 120


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    language = preferred_language(request.headers.get("accept-language", ""))

    def say(text: str | Text) -> str:
        found = WORDS[text] if isinstance(text, str) else text
        return found.zh if language == "zh" else found.en

    body = _environment().get_template(template).render(say=say, language=language, **values)
    return HTMLResponse(body, status, {**(headers or {}), **HEADERS})


def points(values: Sequence[float | None], slots: int) -> list[str]:
    """The polylines of a plot, the newest at the right; a gap ends one."""
    highest = max((value for value in values if value is not None), default=0.0) or 1.0
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values, start=slots - len(values)):
        if value is None:
            lines.append([])
        else:
            x, y = place * WIDTH / (slots - 1), HEIGHT - 4 - value / highest * (HEIGHT - 8)
            lines[-1].append(f"{x:.1f},{y:.1f}")
    # One alone is no line: it is drawn as a short one.
    return [" ".join(line if len(line) > 1 else line * 2) for line in lines if line]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("internal.controllers.ops"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["digest_of"] = digest_of
    environment.filters.update(utc=_utc, shortened=_shortened)
    return environment


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shortened(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
