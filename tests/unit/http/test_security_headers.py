import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, serving

pytestmark = pytest.mark.anyio

EXPECTED = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ORIGIN = "https://app.example"


async def test_every_reply_has_each_security_header_once(make_settings: MakeSettings) -> None:
    settings = make_settings(MAX_BODY_BYTES=100, BACKEND_CORS_ORIGINS=ORIGIN)
    async with serving(settings, every_way()) as served:
        for method, path, body in (
            ("GET", "/ok", b""),
            ("GET", "/nope", b""),
            ("PUT", "/ok", b""),
            ("POST", "/accounts", b""),
            ("POST", "/raw", b"x" * 101),
            ("GET", "/crash", b""),
            ("GET", "/away/pool", b""),
            ("GET", "/large", b""),
            ("GET", "/stream", b""),
            ("HEAD", "/livez", b""),
        ):
            reply = await served.http.request(method, path, content=body)
            found = {name: reply.headers.get_list(name) for name in EXPECTED}
            assert found == {name: [value] for name, value in EXPECTED.items()}, path
        preflight = Exchange(
            "OPTIONS",
            "/ok",
            [(b"origin", b"https://evil.example"), (b"access-control-request-method", b"GET")],
        )
        headers = (await preflight.run(served.app)).reply_headers
        assert {name: headers[name] for name in EXPECTED} == EXPECTED


async def test_a_route_may_have_its_own_value(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        headers = (await served.http.get("/own-headers")).headers
        assert headers.get_list("cache-control") == ["public, max-age=60"]
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("debug", [False, True])
async def test_no_reply_tells_its_time_or_its_server(
    make_settings: MakeSettings, debug: bool
) -> None:
    async with serving(make_settings(DEBUG=debug), every_way()) as served:
        for path in ("/ok", "/nope", "/crash"):
            names = set((await served.http.get(path)).headers)
            assert names <= {*EXPECTED, "content-type", "content-length", "x-trace-id"}
