"""Probes: single-flight, cached for a second, answered within a second, whatever the part does."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from io import BytesIO

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from internal.config.settings import Settings
from internal.infra.database import create_probe_engine
from internal.infra.logging import create_line_log, install_logging
from internal.infra.redis import create_client
from internal.migrations import known_revisions
from internal.migrations.runner import migrate
from internal.services import health
from internal.services.health import (
    CACHE_SECONDS,
    OK,
    PROBE_TIMEOUT_SECONDS,
    SCHEMA_BEHIND,
    UNAVAILABLE,
    DatabaseCheck,
    Health,
    Probe,
    Readiness,
    RedisCheck,
)
from tests.conftest import MakeSettings
from tests.unit.http.serving import Lines, forget_logging

pytestmark = pytest.mark.anyio


class Part:
    """A part that a test makes well, ill or slow, and that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: str | Exception = OK
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self) -> str:
        self.asked += 1
        self.begun.set()
        await self.free.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def part(anyio_backend: object) -> Part:
    return Part()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the probes' clock on: no test waits for a second to pass."""
    moved = 0.0
    real = time.monotonic

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    monkeypatch.setattr(time, "monotonic", lambda: real() + moved)
    return move


@pytest.fixture
async def lines(make_settings: MakeSettings, anyio_backend: object) -> AsyncGenerator[Lines]:
    stream = BytesIO()
    settings = make_settings()
    install_logging(create_line_log(settings, stream), settings)
    position = 0

    def read() -> bytes:
        nonlocal position
        new = stream.getvalue()[position:]
        position += len(new)
        return new

    yield Lines(read)
    forget_logging()


async def test_an_answer_is_kept_for_a_second(part: Part, later: Callable[[float], None]) -> None:
    probe = Probe("part", part)
    assert await probe.status() == OK
    part.answer = "ill"
    later(CACHE_SECONDS - 0.5)
    assert await probe.status() == OK
    assert part.asked == 1
    later(0.6)
    assert await probe.status() == "ill"
    assert part.asked == 2


async def test_many_who_ask_at_once_are_one_check(part: Part) -> None:
    probe = Probe("part", part)
    part.free.clear()
    asking = [asyncio.create_task(probe.status()) for _ in range(50)]
    await asyncio.sleep(0)
    part.free.set()
    assert await asyncio.gather(*asking) == [OK] * 50
    assert part.asked == 1


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", {}, Exception("server has gone away")),
        RedisConnectionError("Connection refused"),
        OSError(111, "Connection refused"),
        EOFError("0 bytes read"),
        RuntimeError("a driver's own idea of a lost connection"),
    ],
)
async def test_whatever_a_check_raises_the_part_is_unavailable(
    part: Part, error: Exception, later: Callable[[float], None]
) -> None:
    probe = Probe("part", part)
    assert await probe.status() == OK
    part.answer = error
    later(CACHE_SECONDS)
    assert await probe.status() == UNAVAILABLE
    part.answer = OK
    later(CACHE_SECONDS)
    assert await probe.status() == OK


async def test_a_check_that_hangs_is_answered_for_in_time(
    part: Part, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    assert PROBE_TIMEOUT_SECONDS == 1.0
    monkeypatch.setattr(health, "PROBE_TIMEOUT_SECONDS", 0.01)
    probe = Probe("part", part)
    part.free.clear()
    assert await probe.status() == UNAVAILABLE
    part.free.set()
    assert await probe.status() == UNAVAILABLE  # the answer is kept like any other
    await asyncio.sleep(0)  # the check lets go
    later(CACHE_SECONDS)
    assert await probe.status() == OK
    assert part.asked == 2


async def test_a_check_that_does_not_let_go_is_not_started_a_second_time(
    monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_SECONDS", 0.01)
    asked, free = 0, asyncio.Event()

    async def stubborn() -> str:
        nonlocal asked
        asked += 1
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return OK

    probe = Probe("part", stubborn)
    for _ in range(3):
        assert await probe.status() == UNAVAILABLE
        later(CACHE_SECONDS)
    assert asked == 1
    free.set()
    later(CACHE_SECONDS)
    await probe.status()
    later(CACHE_SECONDS)
    assert await probe.status() == OK


async def test_a_caller_who_leaves_does_not_stop_the_check_for_the_others(part: Part) -> None:
    probe = Probe("part", part)
    part.free.clear()
    leaving, staying = (asyncio.create_task(probe.status()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    part.free.set()
    assert await staying == OK
    assert leaving.cancelled()


async def test_only_a_change_is_logged_with_its_reason(
    part: Part, lines: Lines, later: Callable[[float], None]
) -> None:
    probe = Probe("part", part)
    for answer in (OK, OK, OSError(111, "refused\nand more"), OSError(111, "refused"), OK):
        part.answer = answer
        await probe.status()
        later(CACHE_SECONDS)
    assert [
        (line["level"], line["message"], line["part"], line["reason"]) for line in lines.all
    ] == [
        ("INFO", "part: ok", "part", ""),
        ("ERROR", "part: unavailable", "part", "[Errno 111] refused"),
        ("INFO", "part: ok", "part", ""),
    ]


async def test_readiness_names_every_part_and_needs_them_all(
    part: Part, later: Callable[[float], None]
) -> None:
    well = Part()
    both = Health({"database": part, "redis": well})
    readiness = await both.readiness()
    assert readiness == Readiness({"database": OK, "redis": OK, "server": OK})
    assert readiness.ready
    part.answer = OSError()
    later(CACHE_SECONDS)
    readiness = await both.readiness()
    assert readiness == Readiness({"database": UNAVAILABLE, "redis": OK, "server": OK})
    assert not readiness.ready


async def test_parts_are_asked_side_by_side(part: Part) -> None:
    other = Part()
    part.free.clear()
    asking = asyncio.create_task(Health({"database": part, "redis": other}).readiness())
    async with asyncio.timeout(30):
        await other.begun.wait()
    assert not asking.done()
    part.free.set()
    assert (await asking).ready


async def test_a_server_that_drains_is_not_ready_at_once(part: Part) -> None:
    health = Health({"database": part})
    assert (await health.readiness()).ready
    health.draining = True
    readiness = await health.readiness()
    assert not readiness.ready
    assert readiness.parts == {"database": OK, "server": "draining"}
    assert part.asked == 1


@pytest.fixture
async def database(
    make_settings: MakeSettings, anyio_backend: object
) -> AsyncGenerator[tuple[Settings, DatabaseCheck]]:
    settings = make_settings()
    engine = create_probe_engine(settings, PROBE_TIMEOUT_SECONDS)
    yield settings, DatabaseCheck(engine)
    await engine.dispose()


def set_revision(settings: Settings, revision: str | None) -> None:
    connection = sqlite3.connect(settings.data_dir / "groundwork.sqlite3")
    with connection:
        if revision is None:
            connection.execute("DELETE FROM alembic_version")
        else:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


async def test_a_database_that_nobody_has_migrated_is_behind(
    database: tuple[Settings, DatabaseCheck],
) -> None:
    _, check = database
    assert await check() == SCHEMA_BEHIND


async def test_a_database_at_this_releases_revision_is_well(
    database: tuple[Settings, DatabaseCheck],
) -> None:
    settings, check = database
    migrate(settings)
    assert await check() == OK


@pytest.mark.parametrize("revision", ["0000", None, ""])
async def test_an_older_schema_is_not_ready_and_says_so(
    database: tuple[Settings, DatabaseCheck], revision: str | None
) -> None:
    settings, check = database
    migrate(settings)
    set_revision(settings, revision)
    assert await check() == SCHEMA_BEHIND


async def test_a_newer_schema_is_ready_and_logged_once(
    database: tuple[Settings, DatabaseCheck], lines: Lines
) -> None:
    settings, check = database
    migrate(settings)
    newer = f"{int(known_revisions()[-1]) + 1:04}"
    set_revision(settings, newer)
    before = len(lines.all)
    for _ in range(3):
        assert await check() == OK
    (line,) = lines.all[before:]
    assert (line["level"], line["message"]) == (
        "WARNING",
        "the schema is ahead of the code; serving",
    )
    assert line["revision"] == newer


async def test_a_database_that_cannot_answer_is_unavailable_and_not_behind(
    database: tuple[Settings, DatabaseCheck],
) -> None:
    settings, check = database
    migrate(settings)
    (settings.data_dir / "groundwork.sqlite3").write_bytes(b"not a database at all" * 1000)
    assert await Probe("database", check).status() == UNAVAILABLE


async def test_a_table_that_cannot_be_read_is_not_taken_for_one_that_is_missing(
    database: tuple[Settings, DatabaseCheck],
) -> None:
    settings, check = database
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(settings.data_dir / "groundwork.sqlite3")
    with connection:
        connection.execute("CREATE TABLE alembic_version (another TEXT)")
    connection.close()
    with pytest.raises(OperationalError):
        await check()


async def test_a_redis_that_answers_is_well(make_settings: MakeSettings) -> None:
    client = create_client(make_settings(), connections=1, timeout=1)
    assert await RedisCheck(client)() == OK
    await client.aclose()


async def test_a_redis_that_is_away_is_unavailable(make_settings: MakeSettings) -> None:
    settings = make_settings(REDIS_MODE="server", REDIS_HOST="127.0.0.1", REDIS_PORT=1)
    client = create_client(settings, connections=1, timeout=1, retries=0)
    assert await Probe("redis", RedisCheck(client)).status() == UNAVAILABLE
    await client.aclose()
