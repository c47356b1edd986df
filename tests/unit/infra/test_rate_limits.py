"""Rate limits: windows, several at once, bounded memory, and a Redis that fails."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from types import SimpleNamespace

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from internal.infra import rate_limits
from internal.infra.metrics import Metrics
from internal.infra.rate_limits import FixedWindow, LocalLimits, Quota, SharedLimits
from internal.infra.redis import create_client, open_redis
from tests import servers
from tests.conftest import MakeSettings
from tests.unit.infra.log import Log

pytestmark = pytest.mark.anyio


class Clock:
    """The time of the module under test; it moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_767_323_045.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


def allowed(limits: LocalLimits, key: str = "ada") -> bool:
    return not any(quota.exceeded for quota in limits.hit(key))


def test_a_window_lets_so_many_through_and_tells_how_many_remain(clock: Clock) -> None:
    limits = LocalLimits("3/minute")
    assert [limits.hit("ada") for _ in range(4)] == [
        [Quota(remaining=2, reset=60, exceeded=False)],
        [Quota(remaining=1, reset=60, exceeded=False)],
        [Quota(remaining=0, reset=60, exceeded=False)],
        [Quota(remaining=0, reset=60, exceeded=True)],
    ]


def test_a_window_starts_at_its_first_request_and_ends_on_time(clock: Clock) -> None:
    limits = LocalLimits("1/minute")
    assert allowed(limits)
    clock.now += 59.5
    (quota,) = limits.hit("ada")
    assert (quota.exceeded, quota.reset) == (True, 1)
    clock.now += 0.5
    (quota,) = limits.hit("ada")
    assert (quota.exceeded, quota.reset) == (False, 60)


def test_a_clock_that_is_set_back_locks_nobody_out(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "time", lambda: clock.now - 3600)
    limits = LocalLimits("1/minute")
    assert allowed(limits)
    monkeypatch.setattr(clock, "time", lambda: clock.now - 7200)
    assert limits.seconds_to_wait("ada") == 60
    clock.now += 60
    assert allowed(limits)


def test_a_window_is_never_longer_than_its_policy_says(clock: Clock) -> None:
    limits = LocalLimits("1/hour")
    for number in range(1000):
        clock.now = number + 0.1234  # some of these and an hour round up
        assert limits.hit(f"caller-{number}")[0].reset == 3600


def test_refused_requests_do_not_lengthen_the_window(clock: Clock) -> None:
    limits = LocalLimits("1/minute")
    for _ in range(60):
        allowed(limits)
        clock.now += 1
    assert allowed(limits)


def test_every_caller_has_windows_of_their_own(clock: Clock) -> None:
    limits = LocalLimits("1/minute")
    assert [allowed(limits, key) for key in ("ada", "grace", "ada", "grace")] == [
        True,
        True,
        False,
        False,
    ]


def test_of_several_limits_each_counts_and_one_is_enough_to_refuse(clock: Clock) -> None:
    limits = LocalLimits("2/second;3/minute")
    assert [allowed(limits) for _ in range(3)] == [True, True, False]
    clock.now += 1
    by_second, by_minute = limits.hit("ada")
    assert (by_second.exceeded, by_minute.exceeded) == (False, True)
    assert limits.windows == ((2, 1), (3, 60))
    clock.now += 59
    assert allowed(limits)


def test_asking_whether_nothing_is_left_counts_nothing(clock: Clock) -> None:
    limits = LocalLimits("2/minute")
    for _ in range(10):
        assert limits.seconds_to_wait("ada") is None
    assert allowed(limits)
    assert limits.seconds_to_wait("ada") is None
    assert allowed(limits)
    assert limits.seconds_to_wait("ada")
    clock.now += 60
    assert limits.seconds_to_wait("ada") is None


def test_the_wait_is_until_every_limit_has_room_again(clock: Clock) -> None:
    limits = LocalLimits("1/second;2/minute")
    assert allowed(limits)
    assert limits.seconds_to_wait("ada") == 1
    clock.now += 10
    assert allowed(limits)
    assert limits.seconds_to_wait("ada") == 50


def test_the_end_of_a_window_is_a_wait_of_a_second_and_then_none(clock: Clock) -> None:
    limits = LocalLimits("1/minute")
    assert allowed(limits)
    clock.now += 59.999
    assert limits.seconds_to_wait("ada") == 1
    clock.now += 0.001
    assert limits.seconds_to_wait("ada") is None


def counted(limit: FixedWindow, *keys: str) -> list[str]:
    """Those of the keys that have had all of a limit of one."""
    return [key for key in keys if limit.seconds_until_room(key)]


def test_no_more_windows_are_kept_than_the_bound_the_oldest_go(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 3)
    limit = FixedWindow(1, 60)
    for key in "abcde":
        limit.hit(key)
        clock.now += 1
    assert counted(limit, *"abcde") == ["c", "d", "e"]


def test_more_callers_than_the_bound_fill_no_more_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rate_limits.MAX_WINDOWS == 100_000
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 1000)
    limit = FixedWindow(1, 60)
    keys = [str(number) for number in range(1200)]
    for key in keys:
        limit.hit(key)
    assert counted(limit, *keys) == keys[200:]


def test_a_window_that_starts_anew_is_the_youngest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 2)
    limit = FixedWindow(1, 60)
    limit.hit("a")
    clock.now += 30
    limit.hit("b")
    clock.now += 30
    for key in "ac":
        limit.hit(key)
    assert counted(limit, *"abc") == ["a", "c"]


def test_ended_windows_make_room_before_any_other_goes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 3)
    limit = FixedWindow(1, 60)
    limit.hit("old")
    limit.hit("older")
    clock.now += 60
    for key in "abc":
        limit.hit(key)
    assert counted(limit, "old", "older", *"abc") == ["a", "b", "c"]


@pytest.mark.parametrize("notation", ["", "many", "0", "10/fortnight"])
def test_a_notation_that_is_none_is_refused(notation: str) -> None:
    with pytest.raises(ValueError, match=r"parse|granularity"):
        LocalLimits(notation)


@pytest.fixture(scope="module")
def redis_server() -> Generator[servers.Redis]:
    servers.require(servers.Redis)
    with servers.Redis() as server:
        yield server


def client_of(server: servers.Redis, make_settings: MakeSettings) -> Redis:
    return create_client(make_settings(**server.environment()), connections=5, timeout=5)


@pytest.fixture(params=["in the process", "server"])
async def redis(
    request: pytest.FixtureRequest, make_settings: MakeSettings
) -> AsyncGenerator[Redis]:
    if request.param == "server":
        client = client_of(request.getfixturevalue("redis_server"), make_settings)
    else:
        client = create_client(make_settings(), connections=5, timeout=5)
    async with client:
        await client.flushall()
        yield client


async def test_shared_limits_let_so_many_through(redis: Redis) -> None:
    limits = SharedLimits("2/minute", redis)
    quotas = [(await limits.hit("203.0.113.9"))[0] for _ in range(3)]
    assert [quota.exceeded for quota in quotas] == [False, False, True]
    assert [quota.remaining for quota in quotas] == [1, 0, 0]
    assert all(0 < quota.reset <= 61 for quota in quotas)
    assert limits.failures == 0


async def test_shared_limits_count_for_all_replicas_together(redis: Redis) -> None:
    replicas = [SharedLimits("10/minute", redis) for _ in range(3)]
    hits = [replica.hit("203.0.113.9") for replica in replicas for _ in range(5)]
    quotas = [quotas[0] for quotas in await asyncio.gather(*hits)]
    assert sum(not quota.exceeded for quota in quotas) == 10
    assert not (await replicas[0].hit("198.51.100.1"))[0].exceeded


async def test_of_several_shared_limits_one_is_enough_to_refuse(redis: Redis) -> None:
    limits = SharedLimits("5/minute;2/hour", redis)
    quotas = [await limits.hit("203.0.113.9") for _ in range(3)]
    assert [[quota.exceeded for quota in each] for each in quotas] == [
        [False, False],
        [False, False],
        [False, True],
    ]
    assert limits.windows == ((5, 60), (2, 3600))


async def test_a_shared_window_ends_with_its_key(redis: Redis) -> None:
    limits = SharedLimits("1/minute", redis)
    await limits.hit("203.0.113.9")
    assert (await limits.hit("203.0.113.9"))[0].exceeded
    (key,) = await redis.keys("*")
    assert 0 < await redis.ttl(key) <= 60
    await redis.delete(key)
    assert not (await limits.hit("203.0.113.9"))[0].exceeded


async def test_scripts_that_redis_has_forgotten_are_sent_again(redis: Redis) -> None:
    limits = SharedLimits("1/minute", redis)
    await limits.hit("203.0.113.9")
    await redis.script_flush()
    assert (await limits.hit("203.0.113.9"))[0].exceeded
    assert limits.failures == 0


async def test_without_redis_requests_pass_and_it_is_said_once_a_minute(
    clock: Clock, log: Log
) -> None:
    server = FakeServer()
    limits = SharedLimits("1/minute", FakeAsyncRedis(server=server))
    server.connected = False
    for _ in range(10):
        assert await limits.hit("203.0.113.9") == ()
    assert limits.failures == 10
    assert [line["failures"] for line in log.events] == [1]
    clock.now += 59
    await limits.hit("203.0.113.9")
    assert len(log.events) == 1
    clock.now += 1
    await limits.hit("203.0.113.9")
    assert [line["failures"] for line in log.events] == [1, 12]
    server.connected = True
    assert not (await limits.hit("203.0.113.9"))[0].exceeded
    assert (await limits.hit("203.0.113.9"))[0].exceeded


@pytest.mark.parametrize(
    "failure", [ResponseError("OOM command not allowed"), OSError("no route"), TimeoutError()]
)
async def test_whatever_redis_fails_with_requests_pass(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    limits = SharedLimits("1/minute", FakeAsyncRedis())

    async def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(limits, "_strategy", SimpleNamespace(hit=fail))
    assert await limits.hit("203.0.113.9") == ()
    assert limits.failures == 1


async def test_a_real_redis_that_is_gone_lets_requests_pass(
    redis_server: servers.Redis, make_settings: MakeSettings
) -> None:
    async with client_of(redis_server, make_settings) as client:
        limits = SharedLimits("1/minute", client)
        assert len(await limits.hit("203.0.113.9")) == 1
        redis_server.kill()
        try:
            assert await limits.hit("203.0.113.9") == ()
            assert limits.failures == 1
        finally:
            redis_server.start()
        assert len(await limits.hit("203.0.113.9")) == 1


async def test_what_shared_limits_send_to_redis_is_counted(make_settings: MakeSettings) -> None:
    metrics = Metrics()
    async with open_redis(make_settings(), metrics) as client:
        await SharedLimits("1/minute", client).hit("ada")
    counted = metrics.snapshot().families["redis_commands_total"]
    assert {("EVALSHA",), ("GET",), ("TTL",)} <= counted.keys()
