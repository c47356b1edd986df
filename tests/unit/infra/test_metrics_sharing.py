"""Processes that serve together. To a lock, another descriptor is as good as another process."""

import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from internal.core.errors import StartError
from internal.infra.metrics import Metrics
from internal.infra.metrics_sharing import Sharing, Slot, open_metrics, open_sharing
from tests.conftest import MakeSettings
from tests.servers import HOST, free_port

pytestmark = pytest.mark.anyio


def pings(metrics: Metrics) -> float:
    series = metrics.collect().families["redis_commands_total"].get(("PING",))
    return series.figures[0] if series else 0


def open_connections(metrics: Metrics) -> float:
    return metrics.collect().families["http_connections_open"][()].figures[0]


def ping(metrics: Metrics, times: int = 1) -> None:
    for _ in range(times):
        metrics.count("redis_commands_total", "PING")


async def test_counters_and_gauges_add_up_whoever_is_asked(tmp_path: Path) -> None:
    first, second = Metrics(), Metrics()
    sharing = Sharing(tmp_path)
    async with open_metrics(first, sharing), open_metrics(second, sharing):
        for metrics, times in ((first, 2), (second, 5)):
            ping(metrics, times)
            metrics.watch("http_connections_open", lambda times=times: times)  # type: ignore[misc]
        assert pings(second) >= 5  # the first has not been asked, and tells within a second
        assert pings(first) == pings(second) == 7
        assert open_connections(first) == 7


async def test_the_counters_of_a_dead_process_stay_and_its_gauges_go(tmp_path: Path) -> None:
    living, dead = Metrics(), Metrics()
    sharing = Sharing(tmp_path)
    async with open_metrics(living, sharing):
        async with open_metrics(dead, sharing):
            ping(dead, 3)
            living.watch("http_connections_open", lambda: 1)
            dead.watch("http_connections_open", lambda: 10)
        assert pings(living) == 3
        assert open_connections(living) == 1


async def test_a_lock_that_somebody_deletes_ends_no_scrape(tmp_path: Path) -> None:
    first, second = Metrics(), Metrics()
    sharing = Sharing(tmp_path)
    async with open_metrics(first, sharing), open_metrics(second, sharing):
        ping(second, 3)
        second.collect()
        for lock in tmp_path.glob("*.lock"):
            lock.unlink()
        assert pings(first) == 3


async def test_whoever_replaces_it_counts_on_and_totals_never_fall(tmp_path: Path) -> None:
    sharing, seen = Sharing(tmp_path), []
    living = Metrics()
    async with open_metrics(living, sharing):
        for _ in range(20):
            next_one = Metrics()
            async with open_metrics(next_one, sharing):
                seen.append(pings(living))
                ping(next_one)
                seen.append(pings(next_one))
            seen.append(pings(living))
    assert seen == sorted(seen)
    assert seen[-1] == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("0.json", "0.lock", "1.json", "1.lock")
    ]


async def test_figures_are_left_for_the_others_without_being_asked(tmp_path: Path) -> None:
    metrics, other = Metrics(), Metrics()
    sharing = Sharing(tmp_path)
    async with open_metrics(metrics, sharing), open_metrics(other, sharing):
        ping(metrics)
        with anyio.fail_after(60):
            while pings(other) != 1:
                await anyio.sleep(0.05)


async def test_a_full_disk_is_said_once_and_does_not_stop_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    slot, metrics = Slot(tmp_path), Metrics()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        for _ in range(3):
            ping(metrics)
            slot.store(metrics.snapshot())
    assert slot._has_complained
    assert not (tmp_path / "0.json").exists()
    slot.store(metrics.snapshot())
    assert json.loads((tmp_path / "0.json").read_text())
    slot.close()


def test_a_service_cleans_up_after_itself_and_after_those_that_were_killed(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings()
    folder = settings.data_dir / "metrics"
    with open_sharing(settings, has_children=True) as one:
        left = folder / "left"
        left.mkdir()
        (left / "0.json").write_text("[]")
        with open_sharing(settings, has_children=True) as two:
            assert one.folder is not None
            assert two.folder is not None
            assert set(folder.iterdir()) == {one.folder, two.folder}
        assert set(folder.iterdir()) == {one.folder}
    assert list(folder.iterdir()) == []


def test_a_data_folder_that_cannot_be_written_to_is_one_clear_line(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = make_settings(DATA_DIR=tmp_path / "file" / "var")
    with (
        pytest.raises(StartError, match=r"^DATA_DIR: .* set METRICS_ENABLED=false$"),
        open_sharing(settings, has_children=True),
    ):
        pytest.fail("it was opened")


def test_a_port_that_is_taken_is_one_clear_line(make_settings: MakeSettings) -> None:
    with socket.create_server((HOST, free_port())) as taken:
        port = taken.getsockname()[1]
        settings = make_settings(HOST=HOST, METRICS_PORT=port)
        with (
            pytest.raises(StartError, match=rf"port {port}: .*; stop the other .* METRICS_PORT$"),
            open_sharing(settings, has_children=False),
        ):
            pytest.fail("it was opened")


@pytest.mark.parametrize("has_children", [True, False])
def test_nothing_is_opened_where_metrics_are_off(
    make_settings: MakeSettings, *, has_children: bool
) -> None:
    settings = make_settings(METRICS_ENABLED=False, METRICS_PORT=free_port())
    with open_sharing(settings, has_children=has_children) as sharing:
        assert sharing == Sharing()
    assert not settings.data_dir.exists()


async def test_the_port_answers_for_all_and_again_after_one_has_ended(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(HOST=HOST, METRICS_PORT=free_port())
    with open_sharing(settings, has_children=True) as sharing:
        for total in (1, 2, 3):
            async with AsyncExitStack() as stack:
                for _ in range(2):
                    metrics = Metrics()
                    await stack.enter_async_context(open_metrics(metrics, sharing))
                ping(metrics)
                reply = await ask(settings.metrics_port, b"GET /metrics HTTP/1.1\r\n\r\n")
                total_line = f'redis_commands_total{{command="PING"}} {total}\n'
                if total_line.encode() not in reply:  # the other one answered
                    assert pings(metrics) == total


async def test_the_port_speaks_enough_of_http(make_settings: MakeSettings) -> None:
    settings = make_settings(HOST=HOST, METRICS_PORT=free_port())
    port = settings.metrics_port
    with open_sharing(settings, has_children=False) as sharing:
        async with open_metrics(Metrics(), sharing):
            reply = await ask(port, b"GET /metrics?x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4")
            head, _, body = reply.partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head
            accept = b"aCCept: application/openmetrics-text;version=1.0.0"
            reply = await ask(port, b"GET /metrics HTTP/1.1\r\n" + accept + b"\r\n\r\n")
            assert reply.endswith(b"# EOF\n")
            reply = await ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
            assert reply.endswith(b"close\r\n\r\n")
            for bad, status in (
                (b"GET / HTTP/1.1\r\n\r\n", b"404"),
                (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
                (b"\xff\x00\r\n\r\n", b"405"),
            ):
                assert (await ask(port, bad)).split(b" ")[1] == status
            assert await ask(port, b"x" * 100_000) == b""
            assert await ask(port, b"GET /metrics HTTP/1.1\r\n", end=True) == b""
            assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def ask(port: int | None, request: bytes, *, end: bool = False) -> bytes:
    """The whole reply; nothing where the connection was closed without one."""
    assert port is not None
    reply = b""
    with anyio.fail_after(60):
        try:
            async with await anyio.connect_tcp(HOST, port) as stream:
                await stream.send(request)
                if end:
                    await stream.send_eof()
                while True:
                    reply += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return reply


def test_a_lock_is_the_processes_own(tmp_path: Path) -> None:
    slots = [Slot(tmp_path) for _ in range(3)]
    assert [slot._path.name for slot in slots] == ["0.json", "1.json", "2.json"]
    slots[1].close()
    again = Slot(tmp_path)
    assert again._path.name == "1.json"
    for slot in (slots[0], slots[2], again):
        slot.close()
    assert len(list(tmp_path.iterdir())) == 3
