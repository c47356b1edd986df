"""Two requests with one key at the same moment, on databases that run them side by side."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import OPERATOR
from internal.migrations.runner import migrate
from internal.services import audit
from internal.services.idempotency import Outcome, RequestIdentity, StillRunning, Work
from internal.services.resources import Resources
from tests.conftest import MakeSettings
from tests.security.idempotency.opened import events, opened, stored_keys
from tests.servers import DATABASES, DatabaseServer, require

pytestmark = pytest.mark.anyio

FIRST = RequestIdentity("user:1", "POST", "/v1/things?", "key", b"{}")
_numbers = itertools.count()


class Done(BaseModel):
    by: str


class WorkFails(Exception):
    pass


@pytest.fixture(scope="module", params=DATABASES, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Generator[DatabaseServer]:
    kind: type[DatabaseServer] = request.param
    require(kind)
    with kind() as server:
        server.execute(f"CREATE DATABASE `{server.database}_keys`")
        yield server


@pytest.fixture
async def resources(
    make_settings: MakeSettings, server: DatabaseServer
) -> AsyncGenerator[Resources]:
    database = f"{server.database}_{next(_numbers)}"
    server.execute(f"CREATE DATABASE `{database}`")
    settings = make_settings(**{**server.environment(), "DB_DATABASE": database})
    migrate(settings)
    async with opened(settings) as resources:
        yield resources


class Gate:
    """Work that has done its deed and waits before it returns."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def work(self, session: AsyncSession) -> Done:
        await audit.record(session, OPERATOR, "thing.create", ("thing", 1))
        self.reached.set()
        await self.opened.wait()
        return Done(by="the first")

    async def failing_work(self, session: AsyncSession) -> Done:
        await self.work(session)
        raise WorkFails


async def at_once(session: AsyncSession) -> Done:
    await audit.record(session, OPERATOR, "thing.create", ("thing", 1))
    return Done(by="another")


async def run(resources: Resources, work: Work, identity: RequestIdentity = FIRST) -> Outcome:
    return await resources.services.idempotency.run(OPERATOR, identity, work)


@asynccontextmanager
async def running(
    resources: Resources, gate: Gate, work: Work
) -> AsyncGenerator[asyncio.Task[Outcome]]:
    """A first request that is in the middle of its transaction."""
    first = asyncio.create_task(run(resources, work))
    await gate.reached.wait()
    try:
        yield first
    finally:
        gate.opened.set()
        await asyncio.gather(first, return_exceptions=True)


async def test_while_the_first_still_runs_a_second_is_told_so_at_once(
    resources: Resources,
) -> None:
    gate = Gate()
    async with running(resources, gate, gate.work) as first:
        for _ in range(3):
            with pytest.raises(StillRunning):
                await asyncio.wait_for(run(resources, at_once), 10)
        gate.opened.set()
        assert (await first).data == {"by": "the first"}
    again = await run(resources, at_once)
    assert (again.data, again.is_replay) == ({"by": "the first"}, True)
    assert len(await events(resources)) == len(await stored_keys(resources)) == 1


async def test_while_the_first_still_runs_other_keys_go_on(resources: Resources) -> None:
    gate = Gate()
    async with running(resources, gate, gate.work):
        others = [
            RequestIdentity("user:2", "POST", FIRST.path, FIRST.key, FIRST.body),
            RequestIdentity(FIRST.caller, "PUT", FIRST.path, FIRST.key, FIRST.body),
            RequestIdentity(FIRST.caller, "POST", "/v1/things/1?", FIRST.key, FIRST.body),
            RequestIdentity(FIRST.caller, "POST", FIRST.path, "KEY", FIRST.body),
        ]
        for identity in others:
            outcome = await asyncio.wait_for(run(resources, at_once, identity), 10)
            assert not outcome.is_replay


async def test_when_the_first_has_failed_the_next_one_does_the_work(resources: Resources) -> None:
    gate = Gate()
    async with running(resources, gate, gate.failing_work) as first:
        gate.opened.set()
        with pytest.raises(WorkFails):
            await first
    assert len(await events(resources)) == len(await stored_keys(resources)) == 0
    assert (await run(resources, at_once)).is_replay is False


async def test_of_many_at_the_same_moment_one_does_the_work(resources: Resources) -> None:
    outcomes = await asyncio.gather(
        *(run(resources, at_once) for _ in range(8)), return_exceptions=True
    )
    done = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    assert all(isinstance(outcome, Outcome | StillRunning) for outcome in outcomes)
    assert sum(not outcome.is_replay for outcome in done) == 1
    assert len(await events(resources)) == len(await stored_keys(resources)) == 1


async def test_those_that_have_waited_for_a_failure_do_the_work_once_and_never_deadlock(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have all seen no row, and all insert theirs: InnoDB makes a deadlock of that."""

    async def nothing_stored(*_: object) -> None:
        return None

    gate = Gate()
    async with running(resources, gate, gate.failing_work):
        with monkeypatch.context() as patch:
            patch.setattr(resources.services.idempotency, "_stored", nothing_stored)
            late = [asyncio.create_task(run(resources, at_once)) for _ in range(4)]
            await asyncio.sleep(0.5)  # until they wait in the database
            gate.opened.set()
            outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "Outcome",
        *["StillRunning"] * 3,
    ]
    assert len(await events(resources)) == len(await stored_keys(resources)) == 1
