import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import serving

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio

PAGE = "http://service/docs"


class References(HTMLParser):
    """Every URL that a page's tags refer to, and whether it holds code of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.urls += [
            urljoin(PAGE, value or "")
            for name, value in attrs
            if name in ("src", "href", "srcset", "action", "data", "poster", "formaction")
        ]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


async def test_outside_of_debug_there_are_no_docs(make_settings: MakeSettings) -> None:
    async with serving(make_settings()) as served:
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/start.js", "/docs/oauth2-redirect"):
            reply = await served.http.get(path)
            assert reply.status_code == 404
            assert reply.json()["code"] == 40004


async def test_the_page_and_all_that_it_refers_to_come_from_this_service(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(DEBUG=True)) as served:
        page = await served.http.get("/docs")
        references = References(page.text)
        assert len(references.urls) == 4
        assert references.inline == []
        for url in references.urls:
            assert urlsplit(url).netloc == "service"
            asset = await served.http.get(url)
            assert asset.status_code == 200
            assert len(asset.content) > 50
            assert asset.headers["x-content-type-options"] == "nosniff"


async def test_the_assets_are_of_the_types_that_a_strict_browser_takes(
    make_settings: MakeSettings,
) -> None:
    types = {
        "/docs": "text/html",
        "/docs/swagger-ui.css": "text/css",
        "/docs/swagger-ui-bundle.js": "text/javascript",
        "/docs/start.js": "text/javascript",
        "/docs/favicon-32x32.png": "image/png",
        "/openapi.json": "application/json",
    }
    async with serving(make_settings(DEBUG=True)) as served:
        for path, media_type in types.items():
            reply = await served.http.get(path)
            assert reply.headers["content-type"].partition(";")[0] == media_type


async def test_the_policy_of_the_page_lets_nothing_in_from_another_host(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(DEBUG=True)) as served:
        page: httpx.Response = await served.http.get("/docs")
        (policy,) = page.headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'self';")
        assert not re.search(r"https?:|\*", policy)


async def test_the_page_asks_no_validator_elsewhere_about_the_document(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(DEBUG=True)) as served:
        start = (await served.http.get("/docs/start.js")).text
        assert "validatorUrl: null" in start
        assert "http" not in start


async def test_only_the_named_assets_are_served(make_settings: MakeSettings) -> None:
    async with serving(make_settings(DEBUG=True)) as served:
        for name in ("..%2f..%2f__init__.py", "%2e%2e", "redoc.standalone.js", "__init__.py", ""):
            reply = await served.http.get(f"/docs/{name}")
            assert reply.status_code in (404, 422)


async def test_the_document_is_what_the_pages_show_and_lists_no_page(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(DEBUG=True), every_way()) as served:
        document = (await served.http.get("/openapi.json")).json()
        assert document["info"]["title"] == "Groundwork"
        assert {"/livez", "/readyz", "/healthz", "/version", "/accounts"} <= set(document["paths"])
        assert not [path for path in document["paths"] if path.startswith(("/docs", "/openapi"))]
