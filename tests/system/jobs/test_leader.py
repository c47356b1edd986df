"""Real `groundwork scheduler` processes on one database: when one dies, another leads."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from signal import Signals
from typing import Any, Self

import pymysql
import pytest

from tests import command
from tests.servers import DatabaseServer, die_with_the_tests, free_port

SECONDS = 120
# Of the contract: a new leader within 15 s of the old one's death.
CONTRACT_SECONDS = 15


class Scheduling:
    """`groundwork scheduler`; ended with the block, whatever state it is in."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._folder = folder
        self._env = command.environment(folder, settings)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [command.GROUNDWORK, "scheduler"],
                env=self._env,
                cwd=self._folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def fences(self) -> list[int]:
        """Under which it has led."""
        return [line["fence"] for line in self.lines if line["message"] == "leading: scheduler"]

    @property
    def has_stepped_down(self) -> bool:
        return "not leading any more" in self.log

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self, number: Signals = Signals.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


class Ticks:
    """What the database knows of what was done."""

    def __init__(self, server: DatabaseServer) -> None:
        settings = server.environment()
        self._connection = pymysql.connect(
            host=settings["DB_HOST"],
            port=server.port,
            user=server.username,
            password=server.password.encode().decode("latin-1"),
            database=server.database,
            autocommit=True,
        )

    def close(self) -> None:
        self._connection.close()

    def of(self, fence: int) -> int:
        """How many were done under it."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM scheduler_ticks WHERE fence = %s", (fence,))
            (count,) = cursor.fetchone() or (0,)
        return int(count)

    def fences_in_order(self) -> list[int]:
        """Of all ticks, by the time they were done."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT fence FROM scheduler_ticks ORDER BY ran_at")
            return [fence for (fence,) in cursor.fetchall()]


@pytest.fixture
def ticks(database: DatabaseServer) -> Generator[Ticks]:
    with closing(Ticks(database)) as ticks:
        yield ticks


@pytest.fixture
def start(servers: dict[str, str], tmp_path: Path) -> Generator[Callable[..., Scheduling]]:
    """Starts schedulers, each in a folder of its own; they are ended with the test."""
    with ExitStack() as stack:

        def start(name: str, **settings: object) -> Scheduling:
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(Scheduling(folder, {**servers, **settings}))

        yield start


def leader_of(first: Scheduling, second: Scheduling) -> tuple[Scheduling, Scheduling]:
    """(who leads, who does not)."""
    first.wait_for(lambda: bool(first.fences or second.fences))
    return (first, second) if first.fences else (second, first)


def test_a_leader_that_is_killed_is_followed_by_another(
    start: Callable[..., Scheduling],
    ticks: Ticks,
    record_property: Callable[[str, object], None],
) -> None:
    leader, other = leader_of(start("first"), start("second"))
    (fence,) = leader.fences
    other.wait_for(lambda: ticks.of(fence) > 0 and "ready" in other.log)
    leader.process.send_signal(Signals.SIGKILL)
    leader.process.wait()
    died = time.monotonic()
    other.wait_for(lambda: other.fences == [fence + 1])
    leads = time.monotonic()
    other.wait_for(lambda: ticks.of(fence + 1) > 0)
    ticked = time.monotonic()
    record_property("s from kill -9 to the next leader", round(leads - died, 2))
    record_property(f"s to its first tick (contract: {CONTRACT_SECONDS})", round(ticked - died, 2))
    assert other.stop() == 0


def test_a_leader_that_was_frozen_past_its_lease_does_no_work_when_it_wakes(
    start: Callable[..., Scheduling], ticks: Ticks
) -> None:
    leader, other = leader_of(start("first"), start("second"))
    (fence,) = leader.fences
    seen = ticks.of(fence)
    other.wait_for(lambda: ticks.of(fence) > max(seen, 3) and "ready" in other.log)
    time.sleep(0.5)  # the tick that was just seen is done: not in the middle of a transaction
    leader.process.send_signal(Signals.SIGSTOP)
    other.wait_for(lambda: other.fences == [fence + 1] and ticks.of(fence + 1) > 0)
    done = ticks.of(fence)
    leader.process.send_signal(Signals.SIGCONT)
    leader.wait_for(lambda: leader.has_stepped_down)
    later = ticks.of(fence + 1)
    other.wait_for(lambda: ticks.of(fence + 1) > later)
    assert ticks.of(fence) == done
    order = ticks.fences_in_order()
    assert order == sorted(order)
    assert leader.fences == [fence]
    for scheduler in (leader, other):
        assert scheduler.stop() == 0
        assert "Traceback" not in scheduler.log


@pytest.mark.parametrize("how", [Signals.SIGTERM, Signals.SIGINT])
def test_a_leader_that_is_stopped_exits_0_and_the_next_leads_at_once(
    start: Callable[..., Scheduling],
    ticks: Ticks,
    record_property: Callable[[str, object], None],
    how: Signals,
) -> None:
    leader, other = leader_of(start("first"), start("second"))
    (fence,) = leader.fences
    other.wait_for(lambda: ticks.of(fence) > 0 and "ready" in other.log)
    assert leader.stop(how) == 0
    stopped = time.monotonic()
    other.wait_for(lambda: ticks.of(fence + 1) > 0)
    record_property(
        f"s from {how.name} to the next leader's first tick", round(time.monotonic() - stopped, 2)
    )
    assert other.stop() == 0
    for scheduler in (leader, other):
        assert scheduler.lines[-1]["message"] != "ready"
        # Jobs that the scheduler hands over are executed by nobody here, and put back in the end.
        odd = [line for line in scheduler.lines if line["level"] != "INFO"]
        assert [line for line in odd if line["message"] != "jobs were put back"] == []


def test_a_scheduler_starts_without_redis_and_waits_for_the_schema(
    start: Callable[..., Scheduling], database: DatabaseServer
) -> None:
    empty = "groundwork_unmigrated"
    database.execute(f"DROP DATABASE IF EXISTS {empty}", f"CREATE DATABASE {empty}")
    scheduler = start("alone", DB_DATABASE=empty, REDIS_PORT=free_port())
    scheduler.wait_for(lambda: "ready" in scheduler.log and '"logger":"leader"' in scheduler.log)
    time.sleep(7)  # two tries more
    about_leases = [line for line in scheduler.lines if line["logger"] == "leader"]
    assert [line["level"] for line in about_leases] == ["WARNING"]
    done = command.run({**os.environ, **scheduler._env}, "migrate")
    assert done.returncode == 0, done.stderr
    scheduler.wait_for(lambda: bool(scheduler.fences))
    assert scheduler.stop() == 0
    assert "Traceback" not in scheduler.log
