"""A throw-away RabbitMQ: its own node name, ports, port mapper and data."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.servers import HOST, Server, die_with_the_tests, free_port

# Not the wrapper on PATH, which changes to the system's own user.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitMQ(Server):
    name = "rabbitmq"

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self._mapper_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @classmethod
    def binary(cls) -> str | None:
        return str(_SERVER) if _SERVER.exists() else None

    @property
    def url(self) -> str:
        """Guests are let in from loopback."""
        return f"amqp://guest:guest@{HOST}:{self.port}//"

    def command(self) -> list[str]:
        settings = {
            "HOME": self.folder,
            "ERL_EPMD_PORT": self._mapper_port,
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"groundwork-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": self._dist_port,
            "RABBITMQ_MNESIA_BASE": self.folder / "data",
            "RABBITMQ_LOG_BASE": self.folder / "logs",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_CONF_ENV_FILE": self.folder / "none",
            "RABBITMQ_CONFIG_FILE": self.folder / "none",
        }
        return ["env", *(f"{key}={value}" for key, value in settings.items()), str(_SERVER)]

    def start(self) -> None:
        if self._mapper is None:
            self._dist_port = free_port()
            self._mapper = subprocess.Popen(
                ["epmd", "-port", str(self._mapper_port), "-address", HOST],
                preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
            )
        super().start()

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.settimeout(5)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"  # a method frame: Connection.Start
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()

    def _end(self, how: signal.Signals) -> None:
        """The server is a child of its shell script."""
        for child in _children(self._process.pid) if self._process else ():
            os.kill(child, how)
        super()._end(how)


def _children(pid: int) -> list[int]:
    """All processes below it."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    below = [int(line) for line in listed.stdout.split()]
    return [*below, *(grandchild for child in below for grandchild in _children(child))]
