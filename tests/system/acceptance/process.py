"""A process that command lines start, end, freeze and restart: `python -m … VERB FILE`.

`run` is another one like it: the same program, with the arguments that follow.

FILE is JSON: `command`, `environment`, `ready` (the host and port, or the URL, that answers then).
Its process id is kept beside it, its output too.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

SECONDS = 120


class Process:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._pid_file = file.with_suffix(".pid")
        self._log = file.with_suffix(".log")

    @classmethod
    def describe(
        cls, file: Path, command: list[str], environment: dict[str, str], ready: str
    ) -> "Process":
        description = {"command": command, "environment": environment, "ready": ready}
        file.write_text(json.dumps(description))
        file.chmod(0o600)
        return cls(file)

    def line(self, verb: str) -> str:
        """The command line for it, for any shell on this machine."""
        root = Path(__file__).parents[3]
        return f"cd '{root}' && '{sys.executable}' -m {__spec__.name} {verb} '{self._file}'"

    def start(self) -> None:
        description = json.loads(self._file.read_text())
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                description["command"],
                env=description["environment"],
                cwd=self._file.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + SECONDS
        while not answers(description["ready"]):
            if process.poll() is not None or time.monotonic() > deadline:
                text = self._log.read_text(errors="replace")
                raise SystemExit(f"{self._file.stem} did not start:\n{text[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """With the children that it has: a worker's would live on."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def run(self, *arguments: str) -> None:
        description = json.loads(self._file.read_text())
        program = description["command"][0]
        os.execve(program, [program, *arguments], description["environment"])

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        return int(self._pid_file.read_text())

    def _end(self, how: signal.Signals) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self._pid, how)
            deadline = time.monotonic() + SECONDS
            while running(self._pid):
                if time.monotonic() > deadline:
                    raise SystemExit(f"{self._file.stem} did not end")
                time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether it is there and no zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def answers(ready: str) -> bool:
    if ready.startswith("http"):
        try:
            return httpx.get(ready, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
    host, _, port = ready.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def main(verb: str, file: str, *arguments: str) -> None:
    verbs: dict[str, Any] = {
        name: getattr(Process, name)
        for name in ("start", "kill", "stop", "restart", "freeze", "thaw", "run")
    }
    verbs[verb](Process(Path(file)), *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
