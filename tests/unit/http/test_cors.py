import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio

ALLOWED = "https://app.example"
FOREIGN = (
    "https://evil.example",
    "http://app.example",
    "https://app.example.evil.example",
    "https://app.example:8443",
    "null",
    "",
)


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,x-trace-id",
    }


async def test_an_allowed_origin_may_call_with_credentials(make_settings: MakeSettings) -> None:
    settings = make_settings(BACKEND_CORS_ORIGINS=f"{ALLOWED},https://other.example")
    async with serving(settings, every_way()) as served:
        reply = await served.http.options("/accounts", headers=preflight(ALLOWED))
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == ALLOWED
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert "PATCH" in reply.headers["access-control-allow-methods"]
        assert "Origin" in reply.headers["vary"]


async def test_what_an_allowed_origin_reads_has_the_trace_id_exposed_errors_too(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(BACKEND_CORS_ORIGINS=ALLOWED, MAX_BODY_BYTES=10)
    async with serving(settings, every_way()) as served:
        for method, path, body in (
            ("GET", "/ok", b""),
            ("GET", "/nope", b""),
            ("GET", "/crash", b""),
            ("GET", "/away/redis", b""),
            ("POST", "/raw", b"x" * 11),
        ):
            headers = {"Origin": ALLOWED}
            reply = await served.http.request(method, path, content=body, headers=headers)
            assert reply.headers["access-control-allow-origin"] == ALLOWED, path
            exposed = reply.headers["access-control-expose-headers"].split(", ")
            assert {"X-Trace-ID", "Retry-After", "RateLimit", "RateLimit-Policy"} <= set(exposed)
            assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_origin_is_refused_in_the_envelope(
    make_settings: MakeSettings, origin: str
) -> None:
    async with serving(make_settings(BACKEND_CORS_ORIGINS=ALLOWED), every_way()) as served:
        headers = preflight(origin) | {"Accept-Language": "zh"}
        reply = await served.http.options("/accounts", headers=headers)
        assert reply.status_code == 400
        assert reply.json() == {
            "code": 40000,
            "message": "不允许该跨域请求",
            "data": None,
            "trace_id": reply.headers["x-trace-id"],
        }
        assert reply.headers["content-type"] == "application/json"
        assert int(reply.headers["content-length"]) == len(reply.content)
        assert "access-control-allow-origin" not in reply.headers
        simple = await served.http.get("/ok", headers={"Origin": origin})
        assert "access-control-allow-origin" not in simple.headers


async def test_a_method_that_nobody_offers_is_refused(make_settings: MakeSettings) -> None:
    async with serving(make_settings(BACKEND_CORS_ORIGINS=ALLOWED), every_way()) as served:
        reply = await served.http.options("/accounts", headers=preflight(ALLOWED, "TRACE"))
        assert reply.status_code == 400
        assert reply.json()["code"] == 40000


async def test_without_origins_there_is_no_cors_at_all(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.options("/accounts", headers=preflight(ALLOWED))
        assert reply.status_code == 405
        reply = await served.http.get("/ok", headers={"Origin": ALLOWED})
        assert [name for name in reply.headers if name.startswith("access-control")] == []
