"""A node of its own for every process, and ids that no other process ever gives."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.snowflake import IdsUnavailable, Snowflake, decompose, wall_clock_ms
from internal.infra.database import create_engine
from internal.migrations.runner import migrate
from internal.services.id_nodes import IdNode, Terms, open_id_node
from internal.services.leases import Leases
from internal.services.unit_of_work import UnitOfWork

pytestmark = pytest.mark.anyio

ONE_NODE = Terms(nodes=1)
HEADROOM = timedelta(milliseconds=400)
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
    terms = Terms(nodes=1024, headroom=HEADROOM, interval=timedelta(milliseconds=20))
    node = IdNode(leases, ids, terms)
    assert await node.acquire()
    keeping = asyncio.create_task(node.keep())
    now += 10_000
    first = await next_id(ids)
    await expire(engine)
    await asyncio.sleep(0.2)
    second = await next_id(ids)
    assert second > first
    keeping.cancel()
    await asyncio.wait([keeping])


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
    settings: Settings,
) -> None:
    engine = create_engine(settings)
    ids = Snowflake()
    leases = Leases(UnitOfWork(engine, ids))
    async with open_id_node(leases, ids):
        with pytest.raises(IdsUnavailable):
            ids.next_id()
        migrate(settings)
        node = IdNode(leases, ids)
        await node._keep_once()
        assert ids.next_id()
        await node.release()
    await engine.dispose()
