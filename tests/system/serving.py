"""A process that serves, and what it answered and logged."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import Signals
from typing import Any, Self

import httpx

from tests import command
from tests.servers import HOST, die_with_the_tests, free_port

SECONDS = 120
ROOT = Path(__file__).parents[2]

# Everything inside the one process, which migrates by itself.
EMBEDDED: Mapping[str, object] = {
    "APP_ENV": "local",
    "DB_TYPE": "sqlite",
    "REDIS_MODE": "embedded",
    "JOBS_BACKEND": "embedded",
}


class Serving:
    """`groundwork serve`, or the test service with its own routes; ended with the block.

    Args:
        settings: of its environment; the embedded set of `local` where they say nothing.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, object], *, with_routes: bool = False
    ) -> None:
        self.port = int(str(settings.get("PORT") or free_port()))
        self._workers = int(str(settings.get("WORKERS", 1)))
        self.folder = folder
        self.data = folder / "var"
        self.env = command.environment(
            folder, {"PORT": self.port, "HOST": HOST, "REQUEST_TIMEOUT_SECONDS": 20, **settings}
        )
        if with_routes:
            self._command = [sys.executable, "-m", "tests.system.service", "serve"]
            self.env["PYTHONPATH"] = str(ROOT)
        else:
            self._command = [command.GROUNDWORK, "serve"]
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=SECONDS)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_for(lambda: self.log.count("Application startup complete") == self._workers)
            self.wait_for(lambda: self.status("/readyz") == 200)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @contextmanager
    def ending(self) -> Generator[None]:
        """For a start that is not to be waited for, or that fails."""
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        self.http.close()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, Signals.SIGKILL)
            self._process.wait()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            self._process = subprocess.Popen(
                self._command,
                env=self.env,
                cwd=self.folder,
                stdout=out,
                stderr=err,
                start_new_session=True,  # a signal to its whole group is not one to the tests
                preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def wait_for(self, condition: Callable[[], bool]) -> float:
        """Seconds until it holds.

        Raises:
            AssertionError: it does not within `SECONDS`, or the service has ended.
        """
        started = time.monotonic()
        while not condition():
            ended = self.process.poll() is not None
            if ended or time.monotonic() - started > SECONDS:
                outcome = f"ended with {self.process.returncode}" if ended else "not in time"
                raise AssertionError(f"{outcome}: {self.log}{self.errors}")
            time.sleep(0.02)
        return time.monotonic() - started

    def status(self, path: str) -> int | None:
        """What a new connection's GET is answered with; None if there is nobody."""
        try:
            return httpx.get(f"{self.http.base_url.join(path)}", timeout=SECONDS).status_code
        except httpx.TransportError:
            return None

    def pids(self) -> set[int]:
        """The processes that answer, each request on a new connection; of the test service."""
        close = {"Connection": "close"}
        return {self.http.get("/pid", headers=close).json()["data"] for _ in range(20)}

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection((HOST, self.port), timeout=SECONDS)

    def send(self, number: Signals) -> None:
        self.process.send_signal(number)

    def send_to_group(self, number: Signals) -> None:
        """What Ctrl-C in a terminal does."""
        os.killpg(self.process.pid, number)

    def wait_for_exit(self) -> int:
        return self.process.wait(SECONDS)

    @property
    def log(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def lines_at(self, *levels: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["level"] in levels]

    def entered(self, name: str) -> None:
        """Waits until a request is in the held route of this name."""
        self.wait_for((self.data / f"{name}.entered").exists)

    def release(self, name: str) -> None:
        (self.data / f"{name}.released").touch()
