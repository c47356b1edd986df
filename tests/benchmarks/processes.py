"""Starting what is measured, on a core of its own, and telling when it answers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from internal.config.secrets import generate_jwt_secret, generate_key
from tests.servers import MariaDB, Redis

SERVER_CORE, CLIENT_CORE = "0", "1"
UNLIMITED = "1000000000/minute"  # counted all the same


def leave_server_core() -> None:
    """This process and those it starts, clients and databases, go to the other core."""
    os.sched_setaffinity(0, {int(CLIENT_CORE)})


def python(*arguments: str) -> list[str]:
    return ["taskset", "-c", SERVER_CORE, sys.executable, *arguments]


def environment(**values: str) -> dict[str, str]:
    """This environment without what would change what is measured, and with `values`."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONDONTWRITEBYTECODE", "APP_ENV")
    }
    return {**inherited, **values}


def embedded(folder: Path, port: int) -> dict[str, str]:
    """The service's environment on the embedded set: what is measured here needs no database."""
    config = folder / "configs"
    config.mkdir(exist_ok=True)
    (config / ".env.local").write_text(
        "DB_TYPE=sqlite\nREDIS_MODE=embedded\nJOBS_BACKEND=embedded\n"
    )
    return environment(
        APP_ENV="local",
        CONFIG_DIR=str(config),
        DATA_DIR=str(folder / "var"),
        PORT=str(port),
        RATE_LIMIT_DEFAULT=UNLIMITED,
    )


def production(
    folder: Path, port: int, database: MariaDB, redis: Redis, **values: str
) -> dict[str, str]:
    """The service's environment on real servers."""
    config = folder / "configs"
    config.mkdir(exist_ok=True)
    (config / ".env.test").touch()
    return environment(
        **database.environment(),
        **redis.environment(),
        APP_ENV="test",
        CONFIG_DIR=str(config),
        DATA_DIR=str(folder / "var"),
        PORT=str(port),
        AES_SECRET=generate_key(),
        JWT_SECRET=generate_jwt_secret(),
        RATE_LIMIT_DEFAULT=UNLIMITED,
        RATE_LIMIT_AUTH=UNLIMITED,
        **values,
    )


def migrate(env: Mapping[str, str]) -> None:
    subprocess.run(python("-m", "internal", "migrate"), env=env, check=True, capture_output=True)


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], port: int, path: str
) -> Generator[tuple[subprocess.Popen[bytes], float]]:
    """A process, and the seconds from its start until `path` answered 200."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, path, process)
        yield process, time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args!r} ended with {process.returncode}")
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.002)
        finally:
            connection.close()
    sys.exit(f"{process.args!r} did not answer {path}")


def family(pid: int) -> list[int]:
    """A process and its children: a supervisor and its workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
