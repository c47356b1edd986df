"""Traces that are off leave no trace."""

import subprocess
import sys

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import serving

pytestmark = pytest.mark.anyio

IMPORTS = """
import sys
from internal.infra.quick_start import begin_start
begin_start()
import internal.server, internal.cli.worker, internal.tasks.worker
print(*[name for name, module in sys.modules.items() if module], sep="\\n")
"""


def test_a_process_without_traces_does_not_load_the_sdk() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True
    )
    loaded = done.stdout.splitlines()
    assert {"opentelemetry.trace", "redis", "fastapi"} <= set(loaded)
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
        assert "TracingMiddleware" not in repr(served.app.outer)
        assert not served.app._native_telemetry.enabled()
