"""`make services`: what it prints is enough to run the service on what it starts."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import DATABASES, Redis, require

ROOT = Path(__file__).parents[2]
SECONDS = 120


@pytest.fixture
def services() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    for server in (DATABASES[-1], Redis):
        require(server)
    command = [sys.executable, "-m", "tests.services"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            exports = {}
            for line in process.stdout:
                key, value = shlex.split(line.removeprefix("export "))[0].split("=", 1)
                exports[key] = value
                if key == "REDIS_PASSWORD":  # the last one
                    break
            yield process, exports
        finally:
            process.send_signal(signal.SIGTERM)


def test_the_exports_are_the_settings_of_a_service_that_migrates(
    services: tuple[subprocess.Popen[str], dict[str, str]], tmp_path: Path
) -> None:
    process, exports = services
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), **exports}
    for arguments in (["migrate"], ["migrate", "--check"]):
        subprocess.run(
            [sys.executable, "-m", "internal", *arguments],
            cwd=ROOT,
            env=environment,
            check=True,
            timeout=SECONDS,
        )
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
