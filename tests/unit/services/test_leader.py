"""Who leads, from when to when: never longer than the lease lasts."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import anyio
import pytest

from internal.infra.background import running
from internal.services.leader import Leader
from internal.services.leases import HeldLease, Leases
from tests.unit.infra.log import Log

pytestmark = pytest.mark.anyio

DEADLINE = 60.0
LASTING = timedelta(seconds=0.5)
INTERVAL = 0.02


class FakeLeases:
    """A database that can be away, frozen, or say that the lease is lost."""

    def __init__(self) -> None:
        self.is_away = self.is_frozen = self.is_lost = False
        self.acquired = self.renewed = 0
        self.released: list[int] = []
        self.error: Exception = ConnectionError("the server is away")

    async def acquire(self, name: str, holder: str, lasting: timedelta) -> HeldLease | None:
        await self._answer()
        if self.is_lost:
            return None
        self.acquired += 1
        return HeldLease(name, holder, self.acquired, 0)

    async def renew(self, lease: HeldLease, lasting: timedelta) -> bool:
        await self._answer()
        self.renewed += 1
        return not self.is_lost

    async def release(self, lease: HeldLease) -> None:
        await self._answer()
        self.released.append(lease.fence)

    async def _answer(self) -> None:
        if self.is_frozen:
            await anyio.sleep_forever()
        if self.is_away:
            raise self.error


class House:
    """A leader, and what it has led."""

    def __init__(self, lasting: timedelta = LASTING) -> None:
        self.leases = FakeLeases()
        self.leading: HeldLease | None = None
        self.step_down: Callable[[], None] = lambda: None
        self.leader = Leader(
            cast("Leases", self.leases), "house", self._lead, lasting=lasting, interval=INTERVAL
        )

    @asynccontextmanager
    async def _lead(self, lease: HeldLease, step_down: Callable[[], None]) -> AsyncGenerator[None]:
        self.leading, self.step_down = lease, step_down
        try:
            yield
        finally:
            self.leading = None

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)


async def test_who_gets_the_lease_leads_and_renews_and_gives_it_back_at_a_stop() -> None:
    house = House()
    async with running(house.leader.run()):
        await house.until(lambda: house.leases.renewed > 3)
        assert house.leading is not None
        assert house.leader.is_leader
        assert house.leases.acquired == 1
    assert house.leading is None
    assert not house.leader.is_leader
    assert house.leases.released == [1]


async def test_who_does_not_get_it_tries_again_and_leads_nothing() -> None:
    house = House()
    house.leases.is_lost = True
    async with running(house.leader.run()):
        await asyncio.sleep(5 * INTERVAL)
        assert house.leading is None
        house.leases.is_lost = False
        await house.until(lambda: house.leading is not None)


async def test_a_lease_that_is_lost_ends_the_leading_at_the_next_renewal_and_is_not_released() -> (
    None
):
    house = House(timedelta(seconds=DEADLINE))
    async with running(house.leader.run()):
        await house.until(lambda: house.leading is not None)
        house.leases.is_lost = True
        await house.until(lambda: house.leading is None)
        assert not house.leader.is_leader
    assert house.leases.released == []


async def test_work_that_learns_of_the_loss_ends_the_leading_at_once() -> None:
    house = House(timedelta(seconds=DEADLINE))
    house.leader._interval = DEADLINE
    async with running(house.leader.run()):
        await house.until(lambda: house.leading is not None)
        house.leases.is_lost = True
        house.step_down()
        await house.until(lambda: house.leading is None)
        assert house.leases.renewed == 0


@pytest.mark.parametrize("how", ["is_away", "is_frozen"])
async def test_without_the_database_leading_ends_when_the_lease_does_and_comes_back_with_it(
    log: Log, how: str
) -> None:
    house = House()
    async with running(house.leader.run()):
        await house.until(lambda: house.leases.renewed > 0)
        setattr(house.leases, how, True)
        await house.until(lambda: house.leading is None)
        setattr(house.leases, how, False)
        await house.until(lambda: house.leading is not None)
        assert house.leading is not None
        assert house.leading.fence == 2
    warnings = [line["message"] for line in log.events if line["level"] == "WARNING"]
    assert len(warnings) == 1
    assert "leases can be had again" in [line["message"] for line in log.events]


async def test_a_short_outage_does_not_end_the_leading(log: Log) -> None:
    house = House(timedelta(seconds=DEADLINE))
    async with running(house.leader.run()):
        await house.until(lambda: house.leases.renewed > 0)
        house.leases.is_away = True
        await asyncio.sleep(5 * INTERVAL)
        house.leases.is_away = False
        renewed = house.leases.renewed
        await house.until(lambda: house.leases.renewed > renewed)
        assert house.leases.acquired == 1
    assert [line["level"] for line in log.events].count("WARNING") == 1


async def test_a_database_that_is_away_from_the_start_is_one_line_and_tried_again(
    log: Log,
) -> None:
    house = House()
    house.leases.is_away = True
    async with running(house.leader.run()):
        await asyncio.sleep(5 * INTERVAL)
        (line,) = log.events
        assert line["message"] == "no lease: ConnectionError: the server is away"
        house.leases.is_away = False
        await house.until(lambda: house.leading is not None)


async def test_a_stop_does_not_wait_for_a_database_that_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("internal.services.leader.RELEASE_SECONDS", 0.05)
    house = House(timedelta(seconds=DEADLINE))
    with anyio.fail_after(DEADLINE):
        async with running(house.leader.run()):
            await house.until(lambda: house.leading is not None)
            house.leases.is_frozen = True
    assert house.leading is None
