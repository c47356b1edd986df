"""A whole installation on this machine: API replicas, workers, a scheduler, and their servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import pymysql

from tests import command
from tests.servers import HOST, DatabaseServer, Redis, Server, die_with_the_tests, free_port
from tests.system.jobs.program import EFFECTS

ROOT = Path(__file__).parents[3]
ADMIN, PASSWORD = "ada", "correct horse battery staple"
STOP_SECONDS = 90


class Process:
    """A process of the installation; its output goes to a file."""

    def __init__(self, name: str, folder: Path, env: Mapping[str, str], *arguments: str) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._env = dict(env)
        self.command = ["-m", "tests.system.jobs.program", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.command],
                env=self._env,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
            )

    def kill(self) -> None:
        """SIGKILL: a worker's children die with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self.kill()

    def restart_if_ended(self) -> None:
        """What a supervisor does with a process that has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Cluster:
    """API ×2, worker ×2, a scheduler; a context manager that starts and ends everything.

    Args:
        database: started already.
        broker: of the jobs, if it is not the service's Redis: its server and its URL.
    """

    def __init__(
        self,
        folder: Path,
        database: DatabaseServer,
        broker: tuple[Server, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.database = database
        self.redis = Redis()
        self.broker: Server = broker[0] if broker else self.redis
        self.ports = (free_port(), free_port())
        self.base_urls = [f"http://{HOST}:{port}" for port in self.ports]
        self._broker_url = {"CELERY_BROKER_URL": broker[1]} if broker else {}
        self._settings = settings or {}
        self._stack = ExitStack()
        self.env: dict[str, str] = {}
        self.apis: list[Process] = []
        self.workers: list[Process] = []
        self.scheduler = self._process("scheduler")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.redis)
            self.env = command.environment(
                self.folder,
                {
                    **self.database.environment(),
                    **self.redis.environment(),
                    **self._broker_url,
                    "HOST": HOST,
                    "RATE_LIMIT_DEFAULT": "1000000/second",
                    "SHUTDOWN_GRACE_SECONDS": 10,
                    "SCHEDULER_ENABLED": "false",
                    "PYTHONPATH": ROOT,
                    **self._settings,
                },
            )
            self.prepare()
            self.apis = [
                self._process(f"api-{port}", "serve", "--port", str(port)) for port in self.ports
            ]
            self.workers = [
                self._process(f"worker-{number}", "worker", "--concurrency", "2")
                for number in range(2)
            ]
            self.scheduler = self._process("scheduler", "scheduler")
            for process in self.processes:
                stack.callback(process.kill)
                process.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def processes(self) -> Sequence[Process]:
        return [*self.apis, *self.workers, self.scheduler]

    def prepare(self) -> None:
        """The schema, the table of effects, and an admin."""
        self._groundwork("migrate")
        self.database.execute(f"USE `{self.database.database}`", EFFECTS)
        self._groundwork("users", "create-admin", ADMIN, stdin=PASSWORD)

    def token(self, base_url: str) -> str:
        reply = httpx.post(
            f"{base_url}/v1/auth/login", json={"username": ADMIN, "password": PASSWORD}, timeout=30
        )
        reply.raise_for_status()
        return str(reply.json()["data"]["access_token"])

    def rows(self, statement: str) -> Sequence[tuple[Any, ...]]:
        connection = pymysql.connect(
            host=HOST,
            port=self.database.port,
            user=self.database.username,
            password=self.database.password.encode().decode("latin-1"),
            database=self.database.database,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _process(self, name: str, *arguments: str) -> Process:
        return Process(name, self.folder, self.env, *arguments)

    def _groundwork(self, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            [command.GROUNDWORK, *arguments],
            env=self.env,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
