from pathlib import Path

import pytest

from internal.controllers.dependencies import resources_of
from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio


async def test_two_apps_in_one_process_have_nothing_in_common(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    first, second = (
        make_settings(DATA_DIR=tmp_path / "first", DEBUG=True),
        make_settings(DATA_DIR=tmp_path / "second", MAX_BODY_BYTES=10),
    )
    migrate(first)
    async with serving(first, every_way()) as one, serving(second) as two:
        ours, theirs = resources_of(one.app), resources_of(two.app)
        assert ours.database is not theirs.database
        await ours.redis.set("key", "first")
        assert await theirs.redis.get("key") is None
        assert (await one.http.get("/readyz")).status_code == 200
        assert (await two.http.get("/readyz")).status_code == 503
        assert (await one.http.get("/docs")).status_code == 200
        assert (await two.http.get("/docs")).status_code == 404
        assert (await one.http.get("/ok")).status_code == 200
        assert (await two.http.get("/ok")).status_code == 404
        assert (await one.http.post("/raw", content=b"x" * 11)).status_code == 200
        assert (await two.http.post("/raw", content=b"x" * 11)).status_code == 413


async def test_one_app_outlives_another(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(DATA_DIR=tmp_path / "first")
    migrate(settings)
    async with serving(settings) as served:
        async with serving(make_settings(DATA_DIR=tmp_path / "second")) as brief:
            assert (await brief.http.get("/livez")).status_code == 200
        assert (await served.http.get("/readyz")).status_code == 200


async def test_creating_an_app_opens_nothing(make_settings: MakeSettings, tmp_path: Path) -> None:
    from internal.app import create_app

    app = create_app(make_settings())
    assert not hasattr(app.state, "resources")
    assert list(tmp_path.iterdir()) == []
