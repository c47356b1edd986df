"""`/v1/jobs/{job_id}/events`: every change of status, once, in order, at next to no cost."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import routing, sse
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from internal.models.job_event import JobEvent
from internal.services.jobs import watch
from internal.services.jobs.service import EVENTS_AT_ONCE
from tests.security.accounts import Replica
from tests.security.callers import Callers, gather_callers
from tests.security.conftest import Serve
from tests.security.jobs.driving import Driver, waiting_job
from tests.security.jobs.reading import SOON, Reader, reading
from tests.unit.http.serving import Lines

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick")]

AWAY = OperationalError("SELECT 1", {}, Exception(2013, "server has gone away"))


def stream(
    callers: Callers, driver: Driver, role: str = "user", **headers: str
) -> AbstractAsyncContextManager[Reader]:
    authorization = callers.people[role].headers
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reading(callers.service.app, f"{driver.path}/events", authorization | named)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not is_so():
            await asyncio.sleep(0.01)


def statuses(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


@pytest.fixture
async def waiting(callers: Callers) -> Driver:
    return await waiting_job(callers.service)


@pytest.fixture
async def failed(waiting: Driver) -> Driver:
    await waiting.fail()
    return waiting


async def test_the_events_of_a_finished_job_are_sent_from_the_first_and_then_it_ends(
    callers: Callers, failed: Driver
) -> None:
    async with stream(callers, failed, Accept_Encoding="gzip") as reader:
        assert reader.status == 200
        assert reader.headers["content-type"].startswith("text/event-stream")
        assert reader.headers["x-accel-buffering"] == "no"
        assert "no-" in reader.headers["cache-control"]
        assert "content-encoding" not in reader.headers
        events = await reader.rest()
    assert [(event["id"], event["event"]) for event in events] == [
        ("1", "queued"),
        ("2", "running"),
        ("3", "failed"),
    ]
    assert events[2]["data"].keys() == {"sequence", "status", "attempt", "at", "message"}
    assert events[2]["data"]["message"] == "cannot be done"
    assert all("retry" not in event for event in events)


async def test_a_stream_goes_on_after_the_last_event_that_has_arrived(
    callers: Callers, failed: Driver
) -> None:
    for last, rest in (("0", ["queued", "running", "failed"]), ("2", ["failed"])):
        async with stream(callers, failed, Last_Event_ID=last) as reader:
            assert statuses(await reader.rest()) == rest


@pytest.mark.parametrize("last", ["3", "4", "2147483647"])
async def test_who_has_had_the_final_event_is_told_not_to_come_again(
    callers: Callers, failed: Driver, last: str
) -> None:
    async with stream(callers, failed, Last_Event_ID=last) as reader:
        assert reader.status == 204
        assert await reader.rest() == []


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30, "1,2", "٣", "2147483648"])
async def test_a_last_event_id_that_is_none_is_422(
    callers: Callers, failed: Driver, last: str
) -> None:
    async with stream(callers, failed, Last_Event_ID=last) as reader:
        assert reader.status == 422


async def test_what_happens_is_sent_when_it_happens_and_the_final_status_is_the_end(
    callers: Callers, waiting: Driver
) -> None:
    job_watch = callers.service.resources.job_watch
    async with stream(callers, waiting) as reader:
        assert (await reader.event())["event"] == "queued"
        await waiting.succeed()
        assert statuses(await reader.rest()) == ["running", "succeeded"]
    assert len(job_watch) == 0


async def test_a_number_that_is_not_there_yet_does_not_hide_what_comes(
    callers: Callers, waiting: Driver
) -> None:
    async with stream(callers, waiting, Last_Event_ID="99") as reader:
        await waiting.succeed()
        assert statuses(await reader.rest()) == ["running", "succeeded"]


async def test_a_job_that_was_put_back_is_followed_through_its_first_end(
    callers: Callers, waiting: Driver
) -> None:
    await waiting.fail()
    async with stream(callers, waiting) as reader:
        reader.reads_on.clear()
        assert (await callers.send("user", "POST", f"{waiting.path}/retry")).status_code == 200
        reader.reads_on.set()
        first = [await reader.event() for _ in range(3)]
    assert statuses(first) == ["queued", "running", "failed"]
    async with stream(callers, waiting) as reader:
        events = await reader.rest()  # to the end of the job, which the service executes
    assert statuses(events) == [*statuses(first), "queued", "running", "succeeded"]


async def test_an_idle_stream_is_kept_alive_by_comments(
    callers: Callers, waiting: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sse._PING_INTERVAL == 15
    monkeypatch.setattr(routing, "_PING_INTERVAL", 0.05)
    async with stream(callers, waiting) as reader:
        assert (await reader.event())["event"] == "queued"
        assert [await reader.event() for _ in range(2)] == [{"": "ping"}] * 2


async def test_a_drain_ends_every_stream_with_a_time_to_come_again(
    callers: Callers, waiting: Driver
) -> None:
    job_watch = callers.service.resources.job_watch
    async with stream(callers, waiting) as one, stream(callers, waiting) as two:
        for reader in (one, two):
            assert (await reader.event())["event"] == "queued"
        job_watch.close()
        for reader in (one, two):
            (event,) = await reader.rest()
            assert 1000 <= int(event.pop("retry")) <= 5000
            assert event == {}
    async with stream(callers, waiting) as late:
        assert [list(event) for event in await late.rest()] == [["retry"]]
    assert len(job_watch) == 0


async def test_a_stream_ends_after_its_time_and_the_door_is_passed_again(
    callers: Callers, waiting: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LIFETIME_SECONDS", 0.1)
    async with stream(callers, waiting) as reader:
        assert [next(iter(event)) for event in await reader.rest()] == ["event", "retry"]
    await callers.send("user", "POST", "/v1/auth/logout")
    async with stream(callers, waiting, Last_Event_ID="1") as reader:
        assert reader.status == 401


async def test_a_disconnect_ends_the_stream_also_where_it_idles(
    callers: Callers, waiting: Driver
) -> None:
    job_watch = callers.service.resources.job_watch
    async with stream(callers, waiting) as reader:
        await reader.event()
        assert len(job_watch) == 1
        reader.leave()
        await until(lambda: len(job_watch) == 0)


async def add_events(service: Replica, driver: Driver, count: int) -> None:
    """As many retries would."""
    (first,) = [row for row in await service.rows("jobs") if row["id"] == driver.job_id]
    async with service.services.unit_of_work.begin() as session:
        for number in range(first["events"] + 1, first["events"] + count + 1):
            session.add(
                JobEvent(
                    job_id=driver.job_id,
                    sequence=number,
                    status="queued",
                    attempt=number,
                    at=first["created_at"],
                )
            )
    await service.set_all(
        "jobs", lambda table: table.c.id == driver.job_id, events=first["events"] + count
    )


async def test_a_slow_reader_is_not_read_ahead_for_and_misses_nothing(
    callers: Callers, waiting: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, reads = callers.service.services.jobs, 0
    real = jobs.events

    async def counted(job_id: int, after: int) -> Any:
        nonlocal reads
        reads += 1
        return await real(job_id, after)

    monkeypatch.setattr(jobs, "events", counted)
    total = 3 * EVENTS_AT_ONCE
    async with stream(callers, waiting) as reader:
        await reader.event()
        reader.reads_on.clear()
        await add_events(callers.service, waiting, total)
        await asyncio.sleep(0.5)  # in which twenty looks find that there is more
        assert reads <= 3  # the first, this one, and perhaps one for a look before the first
        reader.reads_on.set()
        found = [int((await reader.event())["id"]) for _ in range(total)]
    assert found == list(range(2, total + 2))


async def test_idle_streams_share_one_query_and_hold_no_connection(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = callers.service
    jobs, asked, read = service.services.jobs, [], []
    real_counts, real_events = jobs.event_counts, jobs.events

    async def counts(job_ids: Any) -> dict[int, int]:
        asked.append(sorted(job_ids))
        return await real_counts(job_ids)

    async def events(job_id: int, after: int) -> Any:
        read.append(job_id)
        return await real_events(job_id, after)

    drivers = [await waiting_job(service) for _ in range(3)]
    monkeypatch.setattr(watch, "JOBS_A_QUERY", 2)
    async with AsyncExitStack() as stack:
        for driver in (*drivers, *drivers):
            await (await stack.enter_async_context(stream(callers, driver))).event()
        monkeypatch.setattr(jobs, "event_counts", counts)
        monkeypatch.setattr(jobs, "events", events)
        await until(lambda: len(asked) >= 6)
        assert {len(ids) for ids in asked} == {1, 2}
        assert {job_id for ids in asked for job_id in ids} == {one.job_id for one in drivers}
        assert read == []
        pool = service.database.pool
        if isinstance(pool, AsyncAdaptedQueuePool):
            await until(lambda: pool.checkedout() == 0)
    asked.clear()
    await asyncio.sleep(0.2)
    assert len(asked) <= 2  # nobody watches: no look any more, but one that was under way


async def test_a_change_is_read_once_for_all_who_watch_the_job_also_where_some_leave(
    callers: Callers, waiting: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, read, may_read = callers.service.services.jobs, [], asyncio.Event()
    real = jobs.events

    async def events(job_id: int, after: int) -> Any:
        read.append(after)
        await may_read.wait()
        return await real(job_id, after)

    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(stream(callers, waiting)) for _ in range(5)]
        for reader in readers:
            await reader.event()
        monkeypatch.setattr(jobs, "events", events)
        await add_events(callers.service, waiting, 1)
        await until(lambda: bool(read))
        readers[0].leave()
        await until(lambda: len(callers.service.resources.job_watch) == 4)
        may_read.set()
        assert [(await reader.event())["id"] for reader in readers[1:]] == ["2"] * 4
    assert read == [1]


async def test_streams_stay_open_while_the_database_is_away_and_it_is_logged_once(
    serve: Serve, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise AWAY

    async with serve() as service:
        callers = await gather_callers(service)
        driver = await waiting_job(service)
        jobs = service.services.jobs
        async with stream(callers, driver) as reader:
            await reader.event()
            with monkeypatch.context() as patch:
                patch.setattr(jobs, "event_counts", away)
                await driver.start()
                await asyncio.sleep(0.3)
            with monkeypatch.context() as patch:
                patch.setattr(jobs, "events", away)  # the look is answered, the reading is not
                await asyncio.sleep(0.3)
            assert (await reader.event())["event"] == "running"
        said = [line["message"] for line in lines.all if "job streams" in line["message"]]
    assert [text.partition(":")[0] for text in said] == ["job streams wait", "job streams go on"]


@asynccontextmanager
async def open_streams(callers: Callers, driver: Driver, count: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(stream(callers, driver))
        yield


@pytest.mark.parametrize(
    ("bound", "status", "others_status"),
    [("MAX_STREAMS", 503, 503), ("MAX_STREAMS_PER_CALLER", 429, 200)],
)
async def test_there_is_a_bound_of_streams_for_all_and_for_each(
    callers: Callers,
    waiting: Driver,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    status: int,
    others_status: int,
) -> None:
    monkeypatch.setattr(watch, bound, 2)
    async with open_streams(callers, waiting, 2):
        async with stream(callers, waiting) as reader:
            assert reader.status == status
            assert int(reader.headers["retry-after"]) > 0
        async with stream(callers, waiting, "admin") as reader:
            assert reader.status == others_status
    async with stream(callers, waiting) as reader:
        assert reader.status == 200


async def test_a_job_that_is_deleted_ends_its_streams(callers: Callers, waiting: Driver) -> None:
    async with stream(callers, waiting) as reader:
        await reader.event()
        await callers.service.set_all("jobs", lambda table: table.c.id == waiting.job_id, id=5)
        assert [list(event) for event in await reader.rest()] == [["retry"]]
