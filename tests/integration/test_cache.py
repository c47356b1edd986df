"""Two replicas' caches on one Redis: what a commit has overtaken is never believed after it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis as Client

from internal.infra.metrics import Metrics
from internal.infra.redis import create_client
from internal.services import cache as cache_module
from internal.services.cache import JITTER, Cache
from tests.conftest import MakeSettings
from tests.servers import Redis

pytestmark = pytest.mark.anyio

SECONDS = 60


@dataclass(frozen=True)
class Row:
    name: str
    size: int | None = None


@dataclass(frozen=True)
class NewerRow:
    name: str
    size: int | None = None
    colour: str = "grey"


class Table:
    """One row of a database, and readers that it can hold up."""

    def __init__(self) -> None:
        self.row = Row("before")
        self.read = 0
        self.has_read = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def get(self) -> Row:
        row = self.row
        self.read += 1
        self.has_read.set()
        await self.may_go_on.wait()
        return row


@pytest.fixture(params=["embedded", "server"])
async def client(
    request: pytest.FixtureRequest, make_settings: MakeSettings, anyio_backend: object
) -> AsyncGenerator[Client]:
    settings = make_settings()
    if request.param == "server":
        server: Redis = request.getfixturevalue("redis_server")
        settings = make_settings(**server.environment())
    async with create_client(settings, connections=10, timeout=5) as client:
        await client.flushdb()
        yield client


def cache_on(client: Client, metrics: Metrics | None = None) -> Cache[Row]:
    return Cache(client, "rows", Row, SECONDS, metrics)


async def test_a_value_is_read_once_for_all_replicas_and_what_was_found_is_counted(
    client: Client,
) -> None:
    table, metrics = Table(), Metrics()
    one, other = cache_on(client, metrics), cache_on(client, metrics)
    for cache in (one, other, one):
        assert await cache.get(17, table.get) == Row("before")
    assert table.read == 1
    figures = metrics.snapshot().families
    assert figures["cache_hits_total"][("rows",)].figures == [2]
    assert figures["cache_misses_total"][("rows",)].figures == [1]


async def test_many_who_ask_at_once_are_one_reading_also_where_some_leave(client: Client) -> None:
    table, cache = Table(), cache_on(client)
    table.may_go_on.clear()
    asking = [asyncio.create_task(cache.get(17, table.get)) for _ in range(50)]
    await table.has_read.wait()
    asking[0].cancel()
    table.may_go_on.set()
    replies = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(replies[0], asyncio.CancelledError)
    assert replies[1:] == [Row("before")] * 49
    assert table.read == 1


async def test_an_error_is_everybodys_who_waits_and_is_not_kept(client: Client) -> None:
    async def fail() -> Row:
        raise LookupError

    table, cache = Table(), cache_on(client)
    both = await asyncio.gather(cache.get(17, fail), cache.get(17, fail), return_exceptions=True)
    assert [type(error) for error in both] == [LookupError] * 2
    assert await cache.get(17, table.get) == Row("before")


async def test_what_is_forgotten_is_read_anew_on_every_replica(client: Client) -> None:
    table, one, other = Table(), cache_on(client), cache_on(client)
    await other.get(17, table.get)
    table.row = Row("after")
    await one.forget(17)
    assert await other.get(17, table.get) == Row("after")
    assert await one.get(17, table.get) == Row("after")


@pytest.mark.parametrize("is_cached_before", [False, True])
@pytest.mark.parametrize("changes", [1, 3])
async def test_a_reading_that_a_commit_has_overtaken_is_never_believed(
    client: Client, changes: int, is_cached_before: bool
) -> None:
    table, slow, quick = Table(), cache_on(client), cache_on(client)
    if is_cached_before:  # the key has had a generation before
        await slow.get(17, table.get)
        await slow.forget(17)
    table.has_read.clear()
    table.may_go_on.clear()
    reading = asyncio.create_task(slow.get(17, table.get))
    await table.has_read.wait()  # the slow replica holds the row of before
    for number in range(changes):
        table.row = Row("after", number)  # the commit
        await quick.forget(17)
    table.may_go_on.set()
    assert await reading == Row("before")  # asked before the commit, and stored after it
    for replica in (slow, quick):
        assert await replica.get(17, table.get) == table.row


async def test_nobody_joins_a_reading_that_began_before_the_commit(client: Client) -> None:
    table, cache = Table(), cache_on(client)
    table.may_go_on.clear()
    reading = asyncio.create_task(cache.get(17, table.get))
    await table.has_read.wait()
    table.row = Row("after")
    await cache.forget(17)
    later = asyncio.create_task(cache.get(17, table.get))
    table.may_go_on.set()
    assert await later == Row("after")
    assert await reading == Row("before")


async def test_a_release_with_another_shape_reads_none_of_it_and_hears_of_changes(
    client: Client,
) -> None:
    async def read() -> NewerRow:
        return NewerRow(table.row.name)

    table, old = Table(), cache_on(client)
    new = Cache(client, "rows", NewerRow, SECONDS, None)
    await old.get(17, table.get)
    assert await new.get(17, read) == NewerRow("before")
    table.row = Row("after")
    await old.forget(17)
    assert await new.get(17, read) == NewerRow("after")


async def test_values_end_by_themselves_and_not_all_together(client: Client) -> None:
    table, cache = Table(), cache_on(client)
    for key in range(20):
        await cache.get(key, table.get)
    ttls = [await client.pttl(cache._value_key(key)) for key in range(20)]
    assert max(ttls) <= SECONDS * 1000 * (1 + JITTER)
    assert min(ttls) > 0
    assert max(ttls) - min(ttls) > 1000
    await cache.forget(1)
    assert await client.ttl(cache._generation_key(1)) > 10 * SECONDS


@pytest.mark.parametrize("stored", ["", "0", "0:", "0:{", "0:[]", '1:{"name":"x"}', "x" * 1000])
async def test_what_is_no_value_of_ours_is_read_anew(client: Client, stored: str) -> None:
    table, cache = Table(), cache_on(client)
    await client.set(cache._value_key(17), stored)
    assert await cache.get(17, table.get) == Row("before")
    assert table.read == 1


@pytest.mark.parametrize("name", ["_value_key", "_generation_key"])
async def test_bytes_that_are_no_text_are_no_outage(client: Client, name: str) -> None:
    table, cache = Table(), cache_on(client)
    await client.set(getattr(cache, name)(17), b"\xff")
    assert await cache.get(17, table.get) == Row("before")
    assert await cache.get(17, table.get) == Row("before")


async def test_a_redis_that_is_away_is_no_outage(
    make_settings: MakeSettings, mortal_redis: Redis, later: Callable[[], None]
) -> None:
    table = Table()
    settings = make_settings(**mortal_redis.environment())
    async with create_client(settings, connections=2, timeout=5) as client:
        cache = cache_on(client)
        await cache.get(17, table.get)
        for away, back in (
            (mortal_redis.kill, mortal_redis.start),
            (mortal_redis.freeze, mortal_redis.thaw),
        ):
            away()
            table.row = Row(f"after {away.__name__}")
            await cache.forget(17)
            for _ in range(5):
                assert await cache.get(17, table.get) == table.row
            back()
            later()
            await cache.forget(17)
            later()
            table.read = 0
            for _ in range(5):
                assert await cache.get(17, table.get) == table.row
            assert table.read == 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The rest after a failure is over."""
    real, moved = time.monotonic, 0.0

    def move() -> None:
        nonlocal moved
        moved += 2 * cache_module.AWAY_SECONDS

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return real() + moved

    monkeypatch.setattr(cache_module, "time", Clock)
    return move
