"""`make acceptance`: the suite on processes of this machine, with all that they allow.

A database, a Redis, a worker, two replicas, and HAProxy before them with deploy/haproxy.cfg, where
it is installed; without it, the suite runs on the first replica, and nothing is restarted in turn.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests import command
from tests.servers import DATABASES, HOST, DatabaseServer, Redis, Server, free_port
from tests.system.acceptance.balancer import configuration, haproxy
from tests.system.acceptance.process import Process

ROOT = Path(__file__).parents[3]
SUITE = Path(__file__).parent


def adopt(server: Server, folder: Path) -> Process:
    """The server as a process that command lines control: started anew on its data."""
    server.stop()
    process = Process.describe(
        folder / f"{server.name}.json",
        [shutil.which(server.command()[0]) or server.command()[0], *server.command()[1:]],
        dict(os.environ),
        f"{HOST}:{server.port}",
    )
    process.start()
    return process


def worker(folder: Path, settings: dict[str, str]) -> Process:
    """Ready when its metrics are; its logs and exports are where the replicas' are."""
    port = free_port()
    environment = command.environment(folder, {"APP_ENV": "dev", "METRICS_PORT": port, **settings})
    url = f"http://{HOST}:{port}/metrics"
    run = [command.GROUNDWORK, "worker", "--concurrency", "1"]
    return Process.describe(folder / "worker.json", run, environment, url)


def replica(folder: Path, number: int, settings: dict[str, str]) -> tuple[Process, int]:
    port = free_port()
    home = folder / f"replica-{number}"
    environment = command.environment(
        home, {"APP_ENV": "dev", "HOST": HOST, "PORT": port, "DRAIN_DELAY_SECONDS": 3, **settings}
    )
    url = f"http://{HOST}:{port}/readyz"
    serve = [command.GROUNDWORK, "serve"]
    return Process.describe(folder / f"replica-{number}.json", serve, environment, url), port


def lines(part: str, process: Process) -> dict[str, str]:
    return {
        f"{verb.upper()}_{part}": process.line(verb) for verb in ("kill", "start", "freeze", "thaw")
    }


def main(arguments: list[str]) -> int:
    kind: type[DatabaseServer] = DATABASES[-1]
    missing = [server.name for server in (kind, Redis) if server.binary() is None]
    if missing:
        sys.stderr.write(f"not installed: {', '.join(missing)}\n")
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="acceptance-")))
        database, redis = stack.enter_context(kind()), stack.enter_context(Redis())
        settings = {**database.environment(), **redis.environment()}
        settings |= {
            key: value
            for key, value in command.environment(folder, {}).items()
            if key in {"AES_SECRET", "JWT_SECRET"}
        }
        settings["EXPORT_DIR"] = str(folder / "exports")
        migrated = command.run(command.environment(folder, {**settings}), "migrate")
        if migrated.returncode != 0:
            sys.stderr.write(migrated.stderr)
            return 1

        def start(process: Process) -> Process:
            stack.callback(process.kill)
            process.start()
            return process

        parts = {"DATABASE": adopt(database, folder), "REDIS": adopt(redis, folder)}
        for process in parts.values():
            stack.callback(process.kill)
        replicas = [replica(folder, number, settings) for number in (1, 2)]
        for process, _ in replicas:
            start(process)
        parts["WORKER"] = start(worker(folder, settings))

        given = {
            **os.environ,
            "REPLICA_URL": f"http://{HOST}:{replicas[0][1]}",
            "GROUNDWORK": replicas[0][0].line("run"),
        }
        for part, process in parts.items():
            given |= lines(part, process)
        if binary := haproxy():
            port = free_port()
            file = folder / "haproxy.cfg"
            file.write_text(configuration(port, [port for _, port in replicas]))
            serve = [binary, "-db", "-f", str(file)]
            url = f"http://{HOST}:{port}/readyz"
            start(Process.describe(folder / "haproxy.json", serve, dict(os.environ), url))
            given["BASE_URL"] = f"http://{HOST}:{port}"
            given["RESTART_REPLICAS"] = "\n".join(each.line("restart") for each, _ in replicas)
        else:
            sys.stderr.write(
                "haproxy is not installed: no balancer, and nothing restarts in turn\n"
            )
            given["BASE_URL"] = given["REPLICA_URL"]
        pytest = [sys.executable, "-m", "pytest", str(SUITE), *arguments]
        return subprocess.run(pytest, cwd=ROOT, env=given, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
