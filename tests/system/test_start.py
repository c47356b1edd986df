"""The real command, started where it can and where it cannot."""

import json
import socket
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from signal import Signals

import pytest

from tests import command
from tests.servers import HOST, Redis, free_port
from tests.system.serving import EMBEDDED, Serving

EX_CONFIG = 78


def failed_start(folder: Path, settings: Mapping[str, object]) -> str:
    """What a `serve` that did not start says to a person: one line, from each of its workers."""
    serve = Serving(folder, settings)
    with serve.ending():
        serve.start()
        assert serve.wait_for_exit() not in (0, EX_CONFIG)
    assert "Traceback" not in serve.log + serve.errors
    told = [line["message"].removeprefix("start failed: ") for line in serve.lines_at("CRITICAL")]
    told += [line.removeprefix("CRITICAL: ") for line in serve.errors.splitlines()]
    assert len(told) <= int(str(settings.get("WORKERS", 1)))
    line: str
    (line,) = set(told)
    return line


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_is_down_is_one_critical_line(
    servers: dict[str, str], tmp_path: Path, workers: int
) -> None:
    port = free_port()
    line = failed_start(tmp_path, {**servers, "DB_PORT": port, "WORKERS": workers})
    assert line.startswith(f"database: mysql at {HOST}:{port}: Can't connect")
    assert line.endswith("check DB_HOST and DB_PORT and that the server runs")


def test_a_redis_that_is_down_is_one_critical_line(servers: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    line = failed_start(tmp_path, {**servers, "REDIS_PORT": port})
    assert line.startswith(f"redis: {HOST}:{port}: ")


def test_a_database_that_does_not_exist_is_one_critical_line(
    servers: dict[str, str], tmp_path: Path
) -> None:
    line = failed_start(tmp_path, {**servers, "DB_DATABASE": "groundwork_missing"})
    assert line.endswith("(1049); create the database or check DB_DATABASE")


def test_a_password_that_is_refused_is_one_critical_line(
    servers: dict[str, str], tmp_path: Path
) -> None:
    line = failed_start(tmp_path, {**servers, "DB_PASSWORD": "hunter2-canary"})
    assert line.endswith("(1045); check DB_USERNAME and DB_PASSWORD")
    assert "hunter2" not in line


def test_a_port_in_use_is_one_critical_line(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        line = failed_start(tmp_path, {**EMBEDDED, "PORT": port})
    assert line == (
        f"cannot listen on {HOST} port {port}: Address already in use; "
        "stop the other process or set HOST and PORT"
    )


def test_an_address_of_another_machine_is_one_critical_line(tmp_path: Path) -> None:
    line = failed_start(tmp_path, {**EMBEDDED, "HOST": "203.0.113.1"})
    assert line.startswith("cannot listen on 203.0.113.1 port ")


def test_nobody_is_answered_before_the_start_is_done(
    servers: dict[str, str], redis: Redis, tmp_path: Path
) -> None:
    serve = Serving(tmp_path, servers)
    with serve.ending():
        redis.freeze()
        try:
            serve.start()
            serve.wait_for(lambda: "started database" in serve.log)
            with pytest.raises(ConnectionRefusedError):
                serve.connect()
        finally:
            redis.thaw()
        serve.send(Signals.SIGTERM)
        assert serve.wait_for_exit() == 0


def test_config_errors_are_told_all_at_once_with_exit_code_78(tmp_path: Path) -> None:
    env = command.environment(
        tmp_path, {"APP_ENV": "prod", "PORT": "http", "DEBUG": "true", "DB_TYPE": "sqlite"}
    )
    for arguments in (["serve"], ["migrate"], ["config", "check"]):
        done = command.run(env, *arguments)
        assert done.returncode == EX_CONFIG
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert all(line.startswith("CRITICAL: Config load failed: ") for line in lines)
        named = {line.split(": ")[2] for line in lines}
        assert named >= {"PORT", "DEBUG", "DB_TYPE"}


def test_a_missing_configuration_is_told_with_exit_code_78(tmp_path: Path) -> None:
    env = command.environment(tmp_path, {})
    del env["APP_ENV"]
    done = command.run(env, "serve")
    assert done.returncode == EX_CONFIG
    (line,) = done.stderr.splitlines()
    assert line.startswith("CRITICAL: Config load failed: APP_ENV: not set")


def local(folder: Path) -> Serving:
    """A start with nothing filled in."""
    serve = Serving(folder, EMBEDDED)
    del serve.env["AES_SECRET"], serve.env["JWT_SECRET"]
    return serve


def test_a_first_local_start_makes_its_secrets_and_schema_and_a_second_keeps_them(
    tmp_path: Path,
) -> None:
    secrets, database = tmp_path / "var" / "secrets", tmp_path / "var" / "groundwork.sqlite3"
    with local(tmp_path) as first:
        made = secrets.read_text()
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
        first.send(Signals.SIGTERM)
        assert first.wait_for_exit() == 0
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE kept (id INTEGER)")
    connection.close()
    with local(tmp_path) as second:
        assert secrets.read_text() == made
        second.send(Signals.SIGTERM)
        assert second.wait_for_exit() == 0
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT COUNT(*) FROM kept").fetchone() == (0,)
    connection.close()
    assert {line.partition("=")[0] for line in made.splitlines()} == {"AES_SECRET", "JWT_SECRET"}
    for line in made.splitlines():
        assert line.partition("=")[2] not in first.log + first.errors


def test_two_first_local_starts_at_once_agree_on_their_secrets(tmp_path: Path) -> None:
    starts = [local(tmp_path) for _ in range(2)]
    checks = [command.start(start.env, "config", "check") for start in starts]
    assert [check.wait(command.SECONDS) for check in checks] == [0, 0]
    for check in checks:
        check.communicate()
    assert len((tmp_path / "var" / "secrets").read_text().splitlines()) == 2
    assert sorted(path.name for path in (tmp_path / "var").iterdir()) == ["secrets"]


def test_the_log_of_a_start_tells_each_step_with_its_time(
    servers: dict[str, str], tmp_path: Path
) -> None:
    with Serving(tmp_path, servers) as serve:
        steps = [line for line in serve.lines if line["message"].startswith("started ")]
    assert [step["part"] for step in steps] == [
        *("database", "redis", "snowflake ids", "signature authentication"),
        *("async task manager", "scheduler", "health"),
    ]
    assert all(step["ms"] >= 0 for step in steps)
    assert json.dumps(servers["DB_PASSWORD"])[1:-1] not in serve.log


def test_the_first_request_to_a_route_is_nothing_to_warn_of(tmp_path: Path) -> None:
    """Models are built then, and what builds them has something to say about FastAPI's."""
    with Serving(tmp_path, EMBEDDED) as service:
        unknown = {"username": "nobody", "password": "correct horse battery staple"}
        assert service.http.post("/v1/auth/login", json=unknown).status_code == 401
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
    assert service.lines_at("WARNING", "ERROR", "CRITICAL") == []
