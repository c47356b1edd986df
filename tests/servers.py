"""Throw-away MariaDB, MySQL and Redis servers: on free loopback ports, their data in temp folders.

Each is a context manager that starts it and, at the end, ends its process and removes its data.
In between, it can be killed, frozen and started again on the same port.
"""

import atexit
import ctypes
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import pymysql
import pytest
from redis import Redis as RedisClient
from redis.exceptions import RedisError

HOST = "127.0.0.1"
START_SECONDS = 120
# What every account of the tests has: a password that would break a URL it is pasted into.
PASSWORD = "p@ss: w/o#r%d?&=+'\"\\`$é口"

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


def free_port() -> int:
    """A port to listen on, from below the range that the kernel gives to outgoing connections.

    Those come and go while a server is being started again, and would take its port.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


class Server(ABC):
    """A server process.

    Args:
        options: more arguments of its command line.
    """

    name: ClassVar[str]

    def __init__(self, *options: str) -> None:
        self.options = options
        self.port = free_port()
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def binary(cls) -> str | None:
        """Its executable; None where it is not installed."""

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"groundwork-{self.name}-"))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and returns when it answers; nothing to do if it runs."""
        if self._process is not None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"{self.name} did not start:\n{log_text[-3000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it like a power cut does its process: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it as an operator does: SIGTERM, and its own clean shutdown."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Its connections stay open, and it answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends a freeze; nothing to do if there is none."""
        if self._process is not None:
            os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None


class DatabaseServer(Server):
    """What MariaDB and MySQL have in common. `username` owns databases `groundwork…`."""

    username = "groundwork"
    password = PASSWORD
    database = "groundwork"

    @classmethod
    @abstractmethod
    def initialize(cls, data: Path) -> list[str]:
        """The command that makes a new data folder."""

    @property
    def _socket(self) -> str:
        return str(self.folder / "socket")

    def command(self) -> list[str]:
        return [
            *(self.binary() or "", "--no-defaults", *_as_root()),
            f"--datadir={self.folder / 'data'}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--tmpdir={self.folder}",  # a server that starts removes others' temporary tables
            f"--bind-address={HOST}",
            f"--port={self.port}",
            "--skip-name-resolve",
            # Not what the service promises: it must ask for that itself.
            "--default-time-zone=+05:45",
            "--character-set-server=latin1",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=16M",
            # Both forgo safety against a power cut of the machine, not of the process.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-doublewrite=0",
            *self.options,
        ]

    def start(self) -> None:
        if not (self.folder / "data").exists():
            shutil.copytree(_new_data(type(self)), self.folder / "data")
        super().start()
        self.create_user(self.username, self.password)
        self.execute(
            f"CREATE DATABASE IF NOT EXISTS `{self.database}`",
            f"GRANT ALL ON `{self.database}%`.* TO '{self.username}'@'%'",
        )

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as listening:  # PyMySQL would leak one that is not
                listening.connect(self._socket)
            self.execute("SELECT 1")
        except (OSError, pymysql.MySQLError):
            return False
        return True

    def execute(self, *statements: str, values: Sequence[object] | None = None) -> None:
        """Runs statements as root, over the socket file."""
        connection = pymysql.connect(unix_socket=self._socket, user="root", charset="utf8mb4")
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values)
            connection.commit()

    def create_user(self, username: str, password: str) -> None:
        """A user with the server's own default authentication, from any host."""
        user = (username, password)
        self.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", values=user)

    def environment(self) -> dict[str, str]:
        """The service's settings for it."""
        return {
            "DB_TYPE": "mysql",
            "DB_HOST": HOST,
            "DB_PORT": str(self.port),
            "DB_USERNAME": self.username,
            "DB_PASSWORD": self.password,
            "DB_DATABASE": self.database,
        }


class MariaDB(DatabaseServer):
    name = "mariadb"

    @classmethod
    def binary(cls) -> str | None:
        return _find("mariadbd")

    @classmethod
    def initialize(cls, data: Path) -> list[str]:
        return [
            *("mariadb-install-db", "--no-defaults", *_as_root(), f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
            *("--innodb-log-file-size=8M", f"--tmpdir={data.parent}"),
        ]

    def command(self) -> list[str]:
        return [*super().command(), "--innodb-log-file-size=8M"]


class MySQL(DatabaseServer):
    """The real one, whose executable the environment names: MYSQLD."""

    name = "mysql"

    @classmethod
    def binary(cls) -> str | None:
        return os.environ.get("MYSQLD")

    @classmethod
    def initialize(cls, data: Path) -> list[str]:
        return [
            *(cls.binary() or "", "--no-defaults", *_as_root(), f"--datadir={data}"),
            *("--initialize-insecure", f"--tmpdir={data.parent}"),
        ]

    def command(self) -> list[str]:
        return [
            *super().command(),
            *("--mysqlx=OFF", "--skip-log-bin", "--secure-file-priv=NULL"),
        ]


class Redis(Server):
    name = "redis"

    def __init__(self, *options: str, password: str = PASSWORD) -> None:
        super().__init__(*options)
        self.password = password

    @classmethod
    def binary(cls) -> str | None:
        return _find("redis-server")

    def command(self) -> list[str]:
        return [
            *(self.binary() or "", "--bind", HOST, "--port", str(self.port)),
            *("--dir", str(self.folder), "--save", "", "--requirepass", self.password),
            *self.options,
        ]

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> "RedisClient":
        return RedisClient(host=HOST, port=self.port, password=self.password, socket_timeout=5)

    def environment(self) -> dict[str, str]:
        """The service's settings for it."""
        return {
            "REDIS_MODE": "server",
            "REDIS_HOST": HOST,
            "REDIS_PORT": str(self.port),
            "REDIS_PASSWORD": self.password,
        }


# The databases that every test of databases runs on.
DATABASES: Sequence[type[DatabaseServer]] = (
    (MariaDB, MySQL) if os.environ.get("MYSQLD") else (MariaDB,)
)


def die_with_the_tests() -> None:
    """For a new process: the system ends it when ours is gone, also where we were killed."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerMissing(pytest.skip.Exception):  # type: ignore[name-defined,misc] # it is a class
    """A skip that is reported from here, and so in one line for all; not from each test's place."""

    __module__ = "builtins"  # is not printed

    @property
    def _use_item_location(self) -> bool:
        return False

    @_use_item_location.setter
    def _use_item_location(self, value: bool) -> None:
        """What pytest sets on a skip in a fixture."""


def require(server: type[Server]) -> None:
    """Skips the test where the server is not installed; fails it with REQUIRE_SERVERS=1."""
    if server.binary() is None:
        missing = f"{server.name} is not installed: tests that need it do not run"
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail(missing, pytrace=False)
        raise ServerMissing(missing)


def _find(executable: str) -> str | None:
    """On PATH, or where Debian keeps servers out of a user's PATH."""
    return shutil.which(executable, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _as_root() -> list[str]:
    """Both refuse to run as root by mistake."""
    return ["--user=root"] if os.geteuid() == 0 else []


@functools.cache
def _new_data(server: type[DatabaseServer]) -> Path:
    """A new data folder, to be copied: it takes seconds to make."""
    folder = Path(tempfile.mkdtemp(prefix=f"groundwork-new-{server.name}-"))
    atexit.register(shutil.rmtree, folder)
    command = server.initialize(folder / "data")
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"{server.name}: no data folder:\n{made.stdout}{made.stderr}")
    return folder / "data"
