"""Leaders and their ticks on a real database: one leads, and each tick happens once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from internal.config.settings import Settings
from internal.core.clock import utc_now
from internal.core.snowflake import Snowflake, first_id_at
from internal.infra.background import running
from internal.infra.database import create_engine
from internal.migrations.runner import migrate
from internal.models.base import Base
from internal.models.idempotency_key import IdempotencyKey
from internal.models.lease import Lease
from internal.models.login_session import LoginSession
from internal.models.refresh_token import RefreshToken
from internal.models.scheduler_tick import SchedulerTick
from internal.models.user import User
from internal.services import purge as purging
from internal.services.leader import Leader
from internal.services.leases import HeldLease, LeaseLost, Leases
from internal.services.periodic import Periodic, PeriodicEffect
from internal.services.purge import purge
from internal.services.unit_of_work import UnitOfWork
from tests.unit.infra.log import logging_of

pytestmark = pytest.mark.anyio

DEADLINE = 120.0
SECOND = timedelta(seconds=1)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def uow(settings: Settings, engine: AsyncEngine) -> UnitOfWork:
    await asyncio.to_thread(migrate, settings)
    return UnitOfWork(engine, Snowflake(1))


@dataclass
class Replica:
    """A process that would lead, with a pool of its own."""

    unit_of_work: UnitOfWork
    effects: Sequence[PeriodicEffect] = ()
    done: list[tuple[int, datetime]] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.leases = Leases(self.unit_of_work)
        effects = self.effects or [PeriodicEffect("tick", SECOND, self._tick)]
        self.periodic = Periodic(self.unit_of_work, self.leases, effects)
        self.leader = Leader(
            self.leases, "scheduler", self.periodic.lead, lasting=3 * SECOND, interval=0.5
        )

    async def _tick(self, _session: AsyncSession, scheduled_at: datetime) -> None:
        self.done.append((self.number, scheduled_at))


@pytest.fixture
async def replicas(settings: Settings, uow: UnitOfWork) -> AsyncGenerator[list[Replica]]:
    done: list[tuple[int, datetime]] = []
    async with AsyncExitStack() as stack:
        engines = [create_engine(settings) for _ in range(2)]
        for engine in engines:
            stack.push_async_callback(engine.dispose)
        yield [
            Replica(UnitOfWork(engine, Snowflake(number)), done=done, number=number)
            for number, engine in enumerate(engines)
        ]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


async def count(uow: UnitOfWork, model: type[Base]) -> int:
    async with uow.read() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


async def lease_of(uow: UnitOfWork, lasting: timedelta = 60 * SECOND) -> HeldLease:
    lease = await Leases(uow).acquire("scheduler", "me", lasting)
    assert lease is not None
    return lease


# --- who leads


async def test_of_two_one_leads_and_the_other_follows_at_once_after_a_clean_stop(
    replicas: list[Replica], uow: UnitOfWork
) -> None:
    first, second = replicas
    async with running(first.leader.run()):
        await until(lambda: first.leader.is_leader)
        async with running(second.leader.run()):
            await until(lambda: len(first.done) > 3)
            assert not second.leader.is_leader
            assert {number for number, _ in first.done} == {first.number}
        # The second has stopped without ever leading: the lease is the first's still.
        assert first.leader.is_leader
    async with uow.read() as session:
        lease = await session.get_one(Lease, "scheduler")
    assert lease.fence == 1
    async with running(second.leader.run()):
        await until(lambda: second.leader.is_leader)
        await until(lambda: first.done[-1][0] == second.number)
    ticks = [scheduled_at for _, scheduled_at in first.done]
    assert len(ticks) == len(set(ticks)) == await count(uow, SchedulerTick)


async def test_where_the_leader_dies_another_takes_over_under_a_higher_fence(
    replicas: list[Replica], uow: UnitOfWork
) -> None:
    first, second = replicas
    lease = await first.leases.acquire("scheduler", "dead soon", 3 * SECOND)
    assert lease is not None
    async with running(second.leader.run()):
        await until(lambda: second.leader.is_leader)
        await until(lambda: len(second.done) > 0)
    async with uow.read() as session:
        assert (await session.get_one(Lease, "scheduler")).fence == lease.fence + 1


async def test_an_unmigrated_database_is_one_line_and_tried_again(
    settings: Settings, engine: AsyncEngine
) -> None:
    replica = Replica(UnitOfWork(engine, Snowflake(1)))
    with logging_of(settings) as log:
        async with running(replica.leader.run()):
            await until(lambda: len(log.events) > 0)
            await asyncio.sleep(1.2)  # two tries more
            (line,) = log.events
            assert (line["level"], line["logger"]) == ("WARNING", "leader")
            assert "leases" in line["message"]
            assert "\n" not in line["message"]
            await asyncio.to_thread(migrate, settings)
            await until(lambda: len(replica.done) > 0)


# --- ticks


async def test_a_tick_happens_once_whoever_tries(replicas: list[Replica], uow: UnitOfWork) -> None:
    """Both believe that they hold the lease, and have, at that moment, the same tick to do."""
    lease = await lease_of(uow)
    happened: list[datetime] = []

    async def effect(session: AsyncSession, scheduled_at: datetime) -> None:
        await session.execute(select(SchedulerTick))  # a trip to the server, in the middle
        happened.append(scheduled_at)

    once = PeriodicEffect("once", SECOND, effect)
    await asyncio.gather(
        *(replica.periodic.run(once, lease, AT) for replica in replicas for _ in range(5))
    )
    assert happened == [AT]
    async with uow.read() as session:
        (tick,) = await session.scalars(select(SchedulerTick))
    assert (tick.job, tick.scheduled_at, tick.fence) == ("once", AT, lease.fence)


async def test_an_effect_that_fails_leaves_no_tick_and_may_be_tried_again(
    uow: UnitOfWork,
) -> None:
    lease = await lease_of(uow)
    committed: list[str] = []

    async def fail(_session: AsyncSession, _scheduled_at: datetime) -> None:
        raise ValueError("no good")

    async def succeed(_session: AsyncSession, _scheduled_at: datetime) -> None:
        assert committed == []

    def commit() -> None:
        committed.append("x")

    periodic = Periodic(uow, Leases(uow), [])
    with pytest.raises(ValueError, match="no good"):
        await periodic.run(PeriodicEffect("a", SECOND, fail, commit), lease, AT)
    assert (await count(uow, SchedulerTick), committed) == (0, [])
    for _ in range(2):
        await periodic.run(PeriodicEffect("a", SECOND, succeed, commit), lease, AT)
    assert (await count(uow, SchedulerTick), committed) == (1, ["x"])


async def test_a_run_that_is_fenced_out_commits_nothing(uow: UnitOfWork) -> None:
    old = await lease_of(uow, timedelta())
    new = await lease_of(uow)
    assert new.fence == old.fence + 1
    happened: list[datetime] = []

    async def effect(_session: AsyncSession, scheduled_at: datetime) -> None:
        happened.append(scheduled_at)

    periodic = Periodic(uow, Leases(uow), [])
    with pytest.raises(LeaseLost):
        await periodic.run(PeriodicEffect("a", SECOND, effect), old, AT)
    assert (happened, await count(uow, SchedulerTick)) == ([], 0)


async def test_a_leader_that_finds_itself_fenced_out_steps_down(
    settings: Settings, uow: UnitOfWork
) -> None:
    old = await lease_of(uow, timedelta())
    await lease_of(uow)
    replica, stepped_down = Replica(uow), asyncio.Event()
    with logging_of(settings) as log, anyio.fail_after(DEADLINE):
        async with replica.periodic.lead(old, stepped_down.set):
            await stepped_down.wait()
    assert replica.done == []
    assert {line["message"] for line in log.events} == {"the lease is lost"}


async def test_nobody_takes_the_lease_over_in_the_middle_of_a_run(uow: UnitOfWork) -> None:
    lease = await lease_of(uow, 2 * SECOND)
    in_the_middle, go = asyncio.Event(), asyncio.Event()

    async def effect(_session: AsyncSession, _scheduled_at: datetime) -> None:
        in_the_middle.set()
        await go.wait()

    periodic = Periodic(uow, Leases(uow), [])
    run = asyncio.create_task(periodic.run(PeriodicEffect("a", SECOND, effect), lease, AT))
    await in_the_middle.wait()
    await asyncio.sleep(2.5)  # the lease has expired by now
    taking = asyncio.create_task(Leases(uow).acquire("scheduler", "other", SECOND))
    done, _ = await asyncio.wait([taking], timeout=1)
    assert not done
    go.set()
    with anyio.fail_after(DEADLINE):
        await run
        taken = await taking
    assert taken is not None
    assert (taken.fence, await count(uow, SchedulerTick)) == (lease.fence + 1, 1)


# --- purge


async def add_old_and_new(uow: UnitOfWork, number: int, expires_at: datetime) -> None:
    """A user's session with two tokens, a key and a tick, as if made a day before they expire."""
    first_id = first_id_at(expires_at - timedelta(days=1)) + 10 * number
    async with uow.begin() as session:
        user = User(
            id=first_id,
            username=f"u{number}",
            display_name="",
            password_hash="",
            role="user",
            token_version=0,
        )
        session.add(user)
        await session.flush()
        session.add(LoginSession(id=first_id + 1, user_id=user.id, expires_at=expires_at))
        await session.flush()
        session.add_all(
            [
                RefreshToken(id=first_id + 2, token_hash=f"{number}a", session_id=first_id + 1),
                RefreshToken(id=first_id + 3, token_hash=f"{number}b", session_id=first_id + 1),
                IdempotencyKey(
                    id=first_id + 4,
                    request_hash=f"{number}",
                    body_hash="",
                    reply=None,
                    expires_at=expires_at,
                ),
                SchedulerTick(job=f"{number}", scheduled_at=expires_at, fence=1, ran_at=expires_at),
            ]
        )


async def counts(uow: UnitOfWork) -> list[int]:
    models = (IdempotencyKey, LoginSession, RefreshToken, SchedulerTick, User)
    return [await count(uow, model) for model in models]


async def purge_once(uow: UnitOfWork) -> None:
    async with uow.begin() as session:
        await purge(session, utc_now())


async def test_a_purge_deletes_what_expired_a_week_ago_and_nothing_else(uow: UnitOfWork) -> None:
    now, week = utc_now(), timedelta(days=7)
    for number, expires_at in enumerate(
        [now - 2 * week, now - week - SECOND, now - week + timedelta(hours=1), now, now + week]
    ):
        await add_old_and_new(uow, number, expires_at)
    await purge_once(uow)
    assert await counts(uow) == [3, 3, 6, 3, 5]
    await purge_once(uow)
    assert await counts(uow) == [3, 3, 6, 3, 5]


async def test_a_purge_takes_a_bounded_number_the_oldest_first_and_goes_on_the_next_time(
    uow: UnitOfWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    oldest = utc_now() - timedelta(days=100)
    for number in range(5):
        await add_old_and_new(uow, number, oldest + number * timedelta(days=1))
    left = []
    for _ in range(6):
        await purge_once(uow)
        left.append((await counts(uow))[:4])
    # A session goes when its tokens, two here, have gone.
    assert left[:3] == [[3, 4, 8, 3], [1, 3, 6, 1], [0, 2, 4, 0]]
    assert left[-1] == [0, 0, 0, 0]


async def test_a_session_without_an_end_to_come_keeps_its_spent_tokens(uow: UnitOfWork) -> None:
    await add_old_and_new(uow, 1, utc_now() + timedelta(days=20))
    async with uow.begin() as session:
        for token in await session.scalars(select(RefreshToken)):
            token.spent_at = utc_now() - timedelta(days=100)
    await purge_once(uow)
    assert await counts(uow) == [1, 1, 2, 1, 1]
