"""The service as a process of its own, listening on loopback, beside the command line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import KEYS
from tests.servers import HOST, free_port

START_SECONDS = 60


class ServiceProcess:
    """`groundwork serve` on a migrated database: SQLite, and a Redis inside the process.

    Args:
        values: settings beside or instead of those.
        serve: what Python is given to serve.
    """

    def __init__(
        self,
        folder: Path,
        values: Mapping[str, str],
        serve: Sequence[str] = ("-m", "internal", "serve"),
    ) -> None:
        config = folder / "configs"
        config.mkdir()
        (config / ".env.test").touch()
        self.port = free_port()
        self.base_url = f"http://{HOST}:{self.port}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in KEYS},
            "APP_ENV": "test",
            "CONFIG_DIR": str(config),
            "DATA_DIR": str(folder / "var"),
            "DB_TYPE": "sqlite",
            "REDIS_MODE": "embedded",
            "JOBS_BACKEND": "embedded",
            "AES_SECRET": generate_key(),
            "JWT_SECRET": generate_jwt_secret(),
            "HOST": HOST,
            "PORT": str(self.port),
            **values,
        }
        self._serve = serve
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.run("migrate")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._serve],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What `groundwork` with these arguments prints."""
        done = subprocess.run(
            [sys.executable, "-m", "internal", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"groundwork {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def create_client(self, name: str, *scopes: str) -> tuple[str, str]:
        """The id and the secret of a new API client."""
        options = [option for scope in scopes for option in ("--scope", scope)]
        printed = self.run("clients", "create", name, *options)
        client_id, secret = (line.split()[-1] for line in printed.splitlines())
        return client_id, secret

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.base_url}/readyz", timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise RuntimeError(f"the service did not start:\n{self.log}")
