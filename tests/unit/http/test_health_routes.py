"""The routes; what becomes of them when a server dies is for the tests with real servers."""

import pytest

from internal.controllers.dependencies import resources_of
from internal.infra.build import build_info
from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio


async def test_livez_is_200_and_touches_nothing(make_settings: MakeSettings) -> None:
    async with serving(make_settings()) as served:
        del served.app.state.resources
        reply = await served.http.get("/livez")
        assert reply.status_code == 200
        assert reply.json()["data"] == {"status": "alive"}
        head = await served.http.head("/livez")
        assert head.status_code == 200


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_ready_when_every_part_is(make_settings: MakeSettings, path: str) -> None:
    settings = make_settings()
    migrate(settings)
    async with serving(settings) as served:
        reply = await served.http.get(path)
        assert reply.status_code == 200
        assert reply.json()["data"]["parts"] == {"database": "ok", "redis": "ok", "server": "ok"}
        assert (await served.http.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_not_ready_names_each_part_in_a_503(make_settings: MakeSettings, path: str) -> None:
    async with serving(make_settings()) as served:
        reply = await served.http.get(path)
        assert reply.status_code == 503
        assert reply.json()["code"] == 50003
        assert reply.json()["data"]["parts"] == {
            "database": "schema is behind the code: run `groundwork migrate`",
            "redis": "ok",
            "server": "ok",
        }


async def test_a_draining_server_is_not_ready_at_once(make_settings: MakeSettings) -> None:
    settings = make_settings()
    migrate(settings)
    async with serving(settings) as served:
        assert (await served.http.get("/readyz")).status_code == 200
        resources_of(served.app).health.draining = True
        reply = await served.http.get("/readyz")
        assert reply.status_code == 503
        assert reply.json()["data"]["parts"]["server"] == "draining"


async def test_version_says_what_runs(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDWORK_REVISION", "7af23cfe")
    monkeypatch.setenv("GROUNDWORK_BUILD", "3kq0j6cmj1bp")
    build_info.cache_clear()
    try:
        async with serving(make_settings()) as served:
            data = (await served.http.get("/version")).json()["data"]
            assert data["revision"] == "7af23cfe"
            assert data["build"] == "3kq0j6cmj1bp"
            assert data["version"] == served.app.version
    finally:
        build_info.cache_clear()
