"""What a page of another origin can do with a signed-in user's browser: nothing."""

import pytest

from tests.security.callers import Callers, filled, gather_callers, routes_of
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

OURS = "https://app.example"
FOREIGN = ("https://evil.example", "http://app.example", "https://app.example.evil.example", "null")


def preflight(origin: str, method: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }


@pytest.mark.parametrize("origins", ["", OURS], ids=["no origins", "our origin"])
async def test_a_foreign_origin_is_allowed_no_route_and_reads_no_reply(
    serve: Serve, origins: str
) -> None:
    async with serve(BACKEND_CORS_ORIGINS=origins) as service:
        callers = await gather_callers(service)
        for route in routes_of(service.app):
            method, path = route.split(" ")
            path = filled(path, user_id=service.populated.ids["user"], client_id="x")
            for origin in FOREIGN:
                headers = preflight(origin, method)
                asked = await service.http.options(path, headers=headers)
                assert asked.status_code == (400 if origins else 405), (route, origin)
                sent = await callers.send("user", method, path, headers={"Origin": origin})
                for reply in (asked, sent):
                    assert "access-control-allow-origin" not in reply.headers, (route, origin)


async def test_our_own_origin_may_ask_for_every_route_that_browsers_use(serve: Serve) -> None:
    async with serve(BACKEND_CORS_ORIGINS=OURS) as service:
        for route in routes_of(service.app):
            method, path = route.split(" ")
            reply = await service.http.options(path, headers=preflight(OURS, method))
            assert reply.status_code == 200, route
            assert reply.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_a_form_of_another_site_is_no_body(callers: Callers, content_type: str) -> None:
    """Forms are sent without a preflight; ours are JSON, and no cookie says who sends them."""
    body = b'{"username":"user","password":"correct horse battery staple"}'
    for path in ("/v1/auth/login", "/v1/auth/register", "/v1/auth/refresh"):
        headers = {"content-type": content_type, "Origin": "https://evil.example"}
        reply = await callers.send("nobody", "POST", path, content=body, headers=headers)
        assert reply.status_code == 415, path
        assert "set-cookie" not in reply.headers
