"""The database goes away and comes back while jobs are executed."""

import asyncio

import pytest

from internal.config.settings import Settings
from internal.migrations.runner import migrate
from internal.services.jobs import attempt as attempting
from internal.services.jobs import runner as running_jobs
from internal.services.jobs.kind import Execution, JobFailed
from tests.conftest import MakeSettings
from tests.integration.jobs.conftest import open_house
from tests.integration.jobs.house import (
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Nothing,
    complete_with_effect,
)
from tests.servers import DatabaseServer

pytestmark = pytest.mark.anyio

FOR_EVER = 1000
DEADLINE_SECONDS = 60


@pytest.fixture
def mortal_settings(make_settings: MakeSettings, mortal_database: DatabaseServer) -> Settings:
    settings = make_settings(**mortal_database.environment())
    migrate(settings)
    return settings


async def start_later(server: DatabaseServer) -> None:
    """Not from another thread: servers of the tests end with the thread that has started them."""
    await asyncio.sleep(1)
    server.start()


@pytest.mark.parametrize("outcome", [SUCCEEDED, FAILED])
async def test_an_outcome_is_recorded_when_the_database_is_back(
    mortal_settings: Settings, mortal_database: DatabaseServer, outcome: str
) -> None:
    executions: list[int] = []
    killed = asyncio.Event()

    async def work(execution: Execution[Nothing]) -> dict[str, int]:
        executions.append(execution.attempt)
        mortal_database.kill()
        killed.set()
        if outcome == FAILED:
            raise JobFailed("it cannot be")
        return {"rows": 1}

    async with open_house(mortal_settings) as house:
        job = await house.enqueue()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(house.runner(work).run(job.id))
            await killed.wait()
            await start_later(mortal_database)
        assert running.result() == outcome
        assert executions == [1]
        assert await house.history(job.id) == [(QUEUED, 0), (RUNNING, 1), (outcome, 1)]


async def test_a_heartbeat_that_the_database_misses_does_not_end_the_work(
    mortal_settings: Settings,
    mortal_database: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempting, "HEARTBEAT_SECONDS", 0.05)

    async def work(_execution: Execution[Nothing]) -> None:
        mortal_database.kill()
        await asyncio.sleep(0.5)  # some heartbeats
        mortal_database.start()

    async with open_house(mortal_settings) as house:
        job = await house.enqueue()
        assert await house.runner(work).run(job.id) == SUCCEEDED


async def test_a_job_whose_effect_met_the_outage_has_it_once_in_the_end(
    mortal_settings: Settings, mortal_database: DatabaseServer
) -> None:
    killed = asyncio.Event()

    async def work(execution: Execution[Nothing]) -> None:
        mortal_database.kill()
        killed.set()
        await complete_with_effect(execution)

    async with open_house(mortal_settings) as house:
        job = await house.enqueue()
        running = asyncio.create_task(house.runner(work).run(job.id))
        await killed.wait()
        await start_later(mortal_database)
        assert (await running, await house.effects()) == (QUEUED, 0)
        await house.make_due(job.id)
        assert await house.runner(complete_with_effect).run(job.id) == SUCCEEDED
        assert await house.effects() == 1


async def test_a_stop_does_not_wait_for_a_database_that_is_frozen(
    mortal_settings: Settings,
    mortal_database: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_jobs, "GIVE_BACK_SECONDS", 0.2)
    is_frozen = asyncio.Event()

    async def work(_execution: Execution[Nothing]) -> None:
        mortal_database.freeze()
        is_frozen.set()
        await asyncio.sleep(FOR_EVER)

    async with open_house(mortal_settings) as house:
        job = await house.enqueue()
        running = asyncio.create_task(house.runner(work).run(job.id))
        await is_frozen.wait()
        try:
            running.cancel()
            await asyncio.wait({running}, timeout=DEADLINE_SECONDS)
            assert running.cancelled()
        finally:
            mortal_database.thaw()
        # The claim runs out, and the reaper puts it back.
        assert await house.status(job.id) == RUNNING
