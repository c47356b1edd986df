"""A worker's child executes, and can be interrupted whatever it is waiting for."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from internal.core.errors import StartError
from internal.tasks import process as processing
from internal.tasks.process import Run, WorkerProcess

DEADLINE_SECONDS = 60.0


class Database:
    """What a child opens, once it can be had."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.was_asked = threading.Event()
        self.problem: Exception = StartError("the database is away")
        self.executed: list[int] = []

    @asynccontextmanager
    async def open_run(self) -> AsyncGenerator[Run]:
        self.was_asked.set()
        if not self.is_there.is_set():
            raise self.problem
        yield self._run

    async def _run(self, job_id: int) -> None:
        await asyncio.sleep(0)
        self.executed.append(job_id)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(processing, "RETRY_SECONDS", 0.01)
    return Database()


@pytest.fixture
def child(database: Database) -> Generator[WorkerProcess]:
    child = WorkerProcess(database.open_run)
    child.start()
    yield child
    child.close()


@pytest.mark.parametrize(
    "problem", [StartError("the database is away"), RuntimeError("nobody has foreseen this")]
)
def test_a_job_waits_until_the_database_is_there(
    database: Database, child: WorkerProcess, problem: Exception
) -> None:
    database.problem = problem
    database.was_asked.clear()
    with ThreadPoolExecutor(1) as celery:
        executing = celery.submit(child.execute, 1)
        assert database.was_asked.wait(DEADLINE_SECONDS)
        assert not executing.done()
        database.is_there.set()
        executing.result(DEADLINE_SECONDS)
    assert database.executed == [1]


def test_a_stop_does_not_wait_for_a_database_that_is_away(
    database: Database, child: WorkerProcess
) -> None:
    with ThreadPoolExecutor(1) as celery:
        executing = celery.submit(child.execute, 1)
        # Asked until it is heard: the job may not have come to the loop yet.
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not executing.done() and time.monotonic() < deadline:
            child.give_back()
            time.sleep(0.01)
        is_over = executing.done()
        database.is_there.set()
        executing.result(DEADLINE_SECONDS)
        assert is_over
        child.execute(2)
    assert database.executed == [2]


def test_a_child_that_has_closed_has_nothing_to_give_back(database: Database) -> None:
    database.is_there.set()
    child = WorkerProcess(database.open_run)
    child.start()
    child.execute(1)
    child.close()
    child.give_back()
    assert database.executed == [1]
