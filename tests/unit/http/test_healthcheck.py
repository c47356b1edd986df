"""The image's probe, against a server of its own."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from internal import healthcheck


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.server.asked = self.path  # type: ignore[attr-defined]
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("PORT", str(server.server_port))
    monkeypatch.delenv("HOST", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", [None, "", "0.0.0.0", "127.0.0.1"])
def test_a_live_service_is_healthy(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    if host is not None:
        monkeypatch.setenv("HOST", host)
    assert healthcheck.main() == 0
    assert server.asked == "/livez"  # type: ignore[attr-defined]


def test_any_other_status_is_unhealthy_and_named(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Answer, "status", 503)
    assert healthcheck.main() == 1
    assert capsys.readouterr().err == "unhealthy: /livez answered 503\n"


@pytest.mark.parametrize("port", ["1", "no-port", "99999"])
def test_nobody_there_is_unhealthy_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("PORT", port)
    assert healthcheck.main() == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("unhealthy: ")


def test_the_probe_runs_isolated_and_imports_nothing_of_ours(server: HTTPServer) -> None:
    script = (
        "import runpy, sys\n"
        "try: runpy.run_module('internal.healthcheck', run_name='__main__')\n"
        "finally: print([name for name in sys.modules if name.startswith('internal.')])"
    )
    probe = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False
    )
    assert probe.returncode == 0
    assert probe.stdout == "[]\n"
