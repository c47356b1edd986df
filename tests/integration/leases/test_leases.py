"""One holder at a time, on the database's clock, and a fence that grows at every takeover."""

import asyncio
from datetime import timedelta

import pytest

from internal.core.snowflake import Snowflake
from internal.dao.leases import LeaseDAO
from internal.infra.database import open_database
from internal.migrations.runner import migrate
from internal.services.leases import HeldLease, LeaseLost, Leases
from internal.services.unit_of_work import UnitOfWork
from tests.conftest import MakeSettings
from tests.servers import MariaDB, require

pytestmark = pytest.mark.anyio

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=200)
ENDED = timedelta()
DEADLINE_SECONDS = 30


async def test_the_first_who_asks_holds_it_and_nobody_else(leases: Leases) -> None:
    assert await leases.acquire("work", "one", LONG) == HeldLease("work", "one", 1, 0)
    assert await leases.acquire("work", "two", LONG) is None
    assert await leases.acquire("work", "one", LONG) is None  # nor the same once more
    assert await leases.acquire("other", "two", LONG) == HeldLease("other", "two", 1, 0)


async def test_a_lease_that_has_expired_is_taken_over_under_a_larger_fence(leases: Leases) -> None:
    first = await leases.acquire("work", "one", SHORT)
    assert first is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (second := await leases.acquire("work", "two", LONG)) is None:
            await asyncio.sleep(0.05)
    assert second.fence == first.fence + 1


@pytest.mark.parametrize("next_holder", ["one", "two"])
async def test_a_lease_that_was_given_back_is_free_at_once_and_its_fence_grows(
    leases: Leases, next_holder: str
) -> None:
    for fence in (1, 2, 3):
        lease = await leases.acquire("work", next_holder if fence > 1 else "one", LONG)
        assert lease is not None
        assert lease.fence == fence
        await leases.release(lease)


async def test_a_renewed_lease_lasts_longer(leases: Leases) -> None:
    lease = await leases.acquire("work", "one", SHORT)
    assert lease is not None
    assert await leases.renew(lease, LONG)
    await asyncio.sleep(2 * SHORT.total_seconds())
    assert await leases.acquire("work", "two", LONG) is None


async def test_a_lost_lease_is_not_renewed_not_required_and_not_given_back(
    leases: Leases, unit_of_work: UnitOfWork
) -> None:
    lost = await leases.acquire("work", "one", LONG)
    assert lost is not None
    await leases.release(lost)
    taken = await leases.acquire("work", "two", LONG)
    assert taken is not None
    assert not await leases.renew(lost, LONG)
    await leases.release(lost)
    with pytest.raises(LeaseLost):
        async with unit_of_work.begin() as session:
            await leases.require(session, lost)
    async with unit_of_work.begin() as session:
        await leases.require(session, taken)


async def test_an_expired_lease_that_nobody_took_is_lost_all_the_same(
    leases: Leases, unit_of_work: UnitOfWork
) -> None:
    lease = await leases.acquire("work", "one", ENDED)
    assert lease is not None
    assert not await leases.renew(lease, LONG)
    with pytest.raises(LeaseLost):
        async with unit_of_work.begin() as session:
            await leases.require(session, lease)


async def test_of_many_who_ask_at_once_one_gets_it(leases: Leases) -> None:
    for _ in range(3):
        asked = (leases.acquire("work", f"{number}", LONG) for number in range(20))
        held = [lease for lease in await asyncio.gather(*asked) if lease is not None]
        assert len(held) == 1
        await leases.release(held[0])


async def test_of_two_who_both_find_no_row_the_one_who_makes_it_second_does_not_get_it(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(MariaDB)  # SQLite has one writer at a time
    insert = LeaseDAO.insert
    first: list[HeldLease | None] = []

    async def insert_after_another(
        self: LeaseDAO, name: str, holder: str, lasting: timedelta
    ) -> None:
        if holder == "two":
            first.append(await leases.acquire(name, "one", lasting))
        await insert(self, name, holder, lasting)

    monkeypatch.setattr(LeaseDAO, "insert", insert_after_another)
    with MariaDB() as server:
        settings = make_settings(**server.environment())
        migrate(settings)
        async with open_database(settings) as engine:
            leases = Leases(UnitOfWork(engine, Snowflake(0)))
            assert await leases.acquire("work", "two", LONG) is None
            assert first == [HeldLease("work", "one", 1, 0)]


async def test_nobody_takes_it_over_while_work_under_it_is_in_its_transaction(
    leases: Leases, unit_of_work: UnitOfWork
) -> None:
    lease = await leases.acquire("work", "one", SHORT)
    assert lease is not None
    async with unit_of_work.begin() as session:
        await leases.require(session, lease)
        takeover = asyncio.create_task(leases.acquire("work", "two", LONG))
        await asyncio.sleep(2 * SHORT.total_seconds())
        assert not takeover.done()
    second = await takeover or await leases.acquire("work", "two", LONG)
    assert second is not None
    assert second.fence == lease.fence + 1


async def test_a_ceiling_is_kept_for_the_next_holder(leases: Leases) -> None:
    lease = await leases.acquire("work", "one", LONG)
    assert lease is not None
    assert await leases.renew(lease, LONG, ceiling_ms=5)
    assert await leases.renew(lease, LONG)
    await leases.release(lease, ceiling_ms=7)
    assert await leases.overview("wo") == {"work": (False, 7)}
    taken = await leases.acquire("work", "two", LONG)
    assert taken is not None
    assert taken.ceiling_ms == 7
