"""A node of its own for every process, and ids that no other process ever gives."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from loguru import logger
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.snowflake import IdsUnavailable, Snowflake, decompose, wall_clock_ms
from internal.infra.database import create_engine, open_database
from internal.migrations.runner import migrate
from internal.services import id_nodes
from internal.services.id_nodes import PREFIX, IdNode, Terms, open_id_node
from internal.services.leases import Leases
from internal.services.unit_of_work import UnitOfWork
from tests.conftest import MakeSettings
from tests.servers import MariaDB, require

if TYPE_CHECKING:
    from loguru import Message

pytestmark = pytest.mark.anyio

type Said = Callable[[str], list[str]]


@pytest.fixture
def said() -> Iterator[Said]:
    """The messages of a level that the keeper of the node has logged."""
    records: list[tuple[str, str]] = []

    def keep(message: "Message") -> None:
        if message.record["extra"].get("logger") == "id nodes":
            records.append((message.record["level"].name, message.record["message"]))

    handler = logger.add(keep, level="DEBUG")
    yield lambda level: [text for named, text in records if named == level]
    logger.remove(handler)


ONE_NODE = Terms(nodes=1)
HEADROOM = timedelta(milliseconds=400)
QUICK = Terms(
    headroom=HEADROOM, interval=timedelta(milliseconds=20), retry=timedelta(milliseconds=20)
)
DEADLINE_SECONDS = 30


async def expire(engine: AsyncEngine) -> None:
    """What time does to the lease of a process that was killed or frozen."""
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE leases SET expires_at = '2025-01-01' WHERE name > ''")
        )


async def test_processes_get_different_nodes_until_there_are_none(leases: Leases) -> None:
    generators = [Snowflake() for _ in range(4)]
    nodes = [IdNode(leases, ids, Terms(nodes=3)) for ids in generators]
    assert [await node.acquire() for node in nodes] == [True, True, True, False]
    assert {ids.node for ids in generators[:3]} == {0, 1, 2}
    with pytest.raises(IdsUnavailable):
        generators[3].next_id()


async def test_a_node_is_usable_again_right_after_a_clean_stop(leases: Leases) -> None:
    given: list[int] = []
    for _ in range(3):
        ids = Snowflake()
        node = IdNode(leases, ids, ONE_NODE)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await node.acquire():  # in the millisecond of the last id it waits
                await asyncio.sleep(0.001)
        given += [ids.next_id() for _ in range(3)]
        await node.release()
        with pytest.raises(IdsUnavailable):
            ids.next_id()
    assert given == sorted(set(given))


async def test_after_a_death_the_node_rests_until_its_ceiling_and_ids_go_on_above_it(
    leases: Leases, engine: AsyncEngine
) -> None:
    killed = Snowflake()
    assert await IdNode(leases, killed, Terms(nodes=1, headroom=HEADROOM)).acquire()
    last = killed.next_id()
    await expire(engine)
    ids = Snowflake()
    heir = IdNode(leases, ids, ONE_NODE)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await heir.acquire():
            await asyncio.sleep(0.02)
    assert decompose(ids.next_id()).ms > decompose(last).ms
    # The dead one wakes: whatever its clock says, it gives nothing above its ceiling.
    with pytest.raises(IdsUnavailable):
        killed.next_id()


async def test_a_frozen_process_with_a_slow_clock_never_meets_its_heir(
    leases: Leases, engine: AsyncEngine
) -> None:
    stopped_at = wall_clock_ms()
    frozen = Snowflake(clock=lambda: stopped_at)
    assert await IdNode(leases, frozen, Terms(nodes=1, headroom=HEADROOM)).acquire()
    await expire(engine)
    ids = Snowflake()
    heir = IdNode(leases, ids, ONE_NODE)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await heir.acquire():
            await asyncio.sleep(0.02)
    inherited = {ids.next_id() for _ in range(10_000)}
    kept = {frozen.next_id() for _ in range(10_000)}
    assert not inherited & kept


async def test_ids_end_at_the_ceiling_that_was_not_renewed(leases: Leases) -> None:
    now = 10**9
    ids = Snowflake(clock=lambda: now)
    assert await IdNode(leases, ids, Terms(nodes=1, headroom=HEADROOM)).acquire()
    ids.next_id()
    now += 400
    ids.next_id()
    now += 1
    with pytest.raises(IdsUnavailable, match="not renewed"):
        ids.next_id()


async def test_a_renewal_raises_the_ceiling_and_a_lost_node_is_replaced(
    leases: Leases, engine: AsyncEngine
) -> None:
    now = 10**9
    ids = Snowflake(clock=lambda: now)
    async with open_id_node(leases, ids, QUICK):
        first = ids.next_id()
        now += 10_000  # far above the first ceiling
        second = await next_id(ids)
        assert decompose(second).node == decompose(first).node
        assert second > first
        await expire(engine)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(await nodes_of(leases)) < 2:
                await asyncio.sleep(0.01)
        third = await next_id(ids)
        assert decompose(third).node != decompose(second).node
        assert third > second


async def test_a_clock_that_steps_back_lowers_no_ceiling_that_ids_may_reach(
    leases: Leases, engine: AsyncEngine
) -> None:
    now = 10**9
    frozen, ids = Snowflake(clock=lambda: now), Snowflake(clock=lambda: now)
    terms = Terms(nodes=1, headroom=HEADROOM)
    node = IdNode(leases, frozen, terms)
    await node.keep_once()
    ceiling_ms = frozen.ceiling_ms
    now -= 300
    await node.keep_once()
    assert frozen.ceiling_ms == ceiling_ms
    await expire(engine)
    now = ceiling_ms  # of the frozen one; what it had asked for after the step is behind that
    assert not await IdNode(leases, ids, terms).acquire()
    assert decompose(frozen.next_id()).ms == ceiling_ms
    now += 1
    assert await IdNode(leases, ids, terms).acquire()
    assert decompose(ids.next_id()).ms > ceiling_ms
    with pytest.raises(IdsUnavailable):
        frozen.next_id()


async def test_an_heir_whose_clock_steps_back_still_starts_above_the_ceiling(
    leases: Leases, engine: AsyncEngine
) -> None:
    now = 10**9
    killed, ids = Snowflake(clock=lambda: now), Snowflake(clock=lambda: now)
    terms = Terms(nodes=1, headroom=HEADROOM)
    assert await IdNode(leases, killed, terms).acquire()
    await expire(engine)
    now = killed.ceiling_ms + 1
    assert await IdNode(leases, ids, terms).acquire()
    now = 10**9
    assert decompose(ids.next_id()).ms == killed.ceiling_ms + 1


async def nodes_of(leases: Leases) -> set[str]:
    return set(await leases.overview(PREFIX))


async def next_id(ids: Snowflake) -> int:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                return ids.next_id()
            except IdsUnavailable:
                await asyncio.sleep(0.02)


async def test_a_fixed_node_is_not_leased(leases: Leases) -> None:
    ids = Snowflake(7)
    async with open_id_node(leases, ids):
        assert decompose(ids.next_id()).node == 7
    assert await leases.overview("") == {}


async def test_without_the_table_it_starts_and_takes_a_node_once_there_is_one(
    settings: Settings, said: Said
) -> None:
    engine = create_engine(settings)
    ids = Snowflake()
    leases = Leases(UnitOfWork(engine, ids))
    async with open_id_node(leases, ids, QUICK):
        with pytest.raises(IdsUnavailable):
            ids.next_id()
        await asyncio.to_thread(migrate, settings)
        assert await next_id(ids)
    complaint, *others = said("WARNING")
    assert complaint.startswith("no id node: ")
    assert "leases" in complaint
    assert not others  # once, not at every try
    assert "the id node is leased again" in said("INFO")
    assert await held_by_now(leases) == 0  # given back
    await engine.dispose()


async def held_by_now(leases: Leases) -> int:
    return sum(is_held for is_held, _ceiling in (await leases.overview(PREFIX)).values())


async def test_a_node_is_given_back_where_the_work_ends_in_an_error(leases: Leases) -> None:
    ids = Snowflake()
    with pytest.raises(RuntimeError):
        await fail_with_a_node(leases, ids)
    assert await held_by_now(leases) == 0


async def fail_with_a_node(leases: Leases, ids: Snowflake) -> None:
    async with open_id_node(leases, ids):
        assert await held_by_now(leases) == 1
        raise RuntimeError


async def test_a_database_that_does_not_answer_is_given_up_and_asked_again(
    unit_of_work: UnitOfWork, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_nodes, "PATIENCE_SECONDS", 0.1)
    leases = Silent(unit_of_work)
    ids = Snowflake()
    async with open_id_node(leases, ids, QUICK):
        assert said("WARNING") == ["no id node: TimeoutError: "]
        leases.answers.set()
        assert await next_id(ids)


async def test_while_the_database_is_away_ids_go_on_to_the_ceiling_and_afterwards_on_the_same_node(
    make_settings: MakeSettings, said: Said
) -> None:
    require(MariaDB)
    now = 10**9
    ids = Snowflake(clock=lambda: now)
    with MariaDB() as server:
        settings = make_settings(**server.environment())
        migrate(settings)
        async with (
            open_database(settings) as engine,
            open_id_node(Leases(UnitOfWork(engine, ids)), ids, QUICK),
        ):
            first = ids.next_id()
            server.kill()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not said("WARNING"):  # no renewal is on its way any more
                    await asyncio.sleep(0.01)
            now = ids.ceiling_ms
            assert decompose(ids.next_id()).ms == ids.ceiling_ms
            now += 1
            with pytest.raises(IdsUnavailable, match="not renewed"):
                ids.next_id()
            server.start()
            assert decompose(await next_id(ids)).node == decompose(first).node
    (complaint,) = said("WARNING")
    assert complaint.startswith("the id node is not renewed: ")


class Silent(Leases):
    """Leases behind a connection that the network has forgotten, until it answers."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        super().__init__(unit_of_work)
        self.answers = asyncio.Event()

    async def overview(self, prefix: str) -> dict[str, tuple[bool, int]]:
        await self.answers.wait()
        return await super().overview(prefix)
