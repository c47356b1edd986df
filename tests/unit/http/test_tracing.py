"""Traces that are off leave no trace."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import command
from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio

# As `groundwork serve` starts, and then what is loaded.
START = """
import asyncio, sys
from internal.infra.quick_start import begin_start
begin_start()
from internal.config.load_config import load_config
import internal.server, internal.cli.worker, internal.tasks.worker
from tests.unit.http.serving import serving

async def start():
    async with serving(load_config().settings) as served:
        reply = await served.http.get("/livez")
        assert reply.status_code == 200
        sys.stderr.write("\\n".join(name for name, module in sys.modules.items() if module))

asyncio.run(start())
"""
EMBEDDED = {"DB_TYPE": "sqlite", "REDIS_MODE": "embedded", "JOBS_BACKEND": "embedded"}


def test_a_service_without_a_collector_does_not_load_the_sdk(tmp_path: Path) -> None:
    settings = {**EMBEDDED, "SNOWFLAKE_NODE_ID": 1, "PYTHONPATH": Path(__file__).parents[3]}
    env = command.environment(tmp_path, settings)
    done = subprocess.run(
        [sys.executable, "-c", START], check=True, capture_output=True, text=True, env=env
    )
    loaded = done.stderr.splitlines()
    assert {"opentelemetry.trace", "redis", "fastapi", "celery"} <= set(loaded)
    slow = ("opentelemetry.sdk", "opentelemetry.exporter", "google", "requests")
    assert [name for name in loaded if name.startswith(slow)] == []


@pytest.mark.parametrize("auto_configure", ["false", "true"])
async def test_a_service_without_a_collector_has_no_wrapper_more(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, auto_configure: str
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", auto_configure)
    async with serving(make_settings(), every_way()) as served:
        assert (await served.http.get("/ok")).status_code == 200
        assert served.app.state.resources.tracing.tracer is None
        assert "TracingMiddleware" not in repr(served.app.user_middleware)
        assert not served.app._native_telemetry.enabled()
