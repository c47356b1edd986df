"""Writing never waits: a reader that stands still, or has gone, costs lines and nothing else."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pytest
from loguru import logger

from internal.infra import log_repeats
from internal.infra.line_log import LOST, MAX_WAITING_BYTES, LineLog
from internal.infra.log_format import encode_json, event
from tests.conftest import MakeSettings
from tests.servers import die_with_the_tests
from tests.unit.infra.log import Log, logging_of

SECONDS = 60
LINE = encode_json({"message": "x" * 200})


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Pipe:
    """What a log is written to, and its reader, who may not read."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "wb", buffering=0)
        self.received = b""

    def read(self) -> None:
        self.received += os.read(self.reading, 1 << 20)

    @property
    def whole(self) -> list[dict[str, Any]]:
        """The events about the log itself, of which half may have come."""
        lines = self.received.split(b"\n")[:-1]
        return [json.loads(line) for line in lines if b"dropped" in line]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.received.splitlines()]


@contextmanager
def piped() -> Generator[tuple[LineLog, Pipe, list[None]]]:
    """Lines, the pipe that they go to, and one entry for each that was dropped."""
    pipe, dropped = Pipe(), list[None]()
    lines = LineLog(pipe.stream, "json", None, lambda: dropped.append(None))
    try:
        yield lines, pipe, dropped
    finally:
        os.close(pipe.reading)
        lines.close()
        pipe.stream.close()


def test_lines_are_out_in_their_order_without_anybody_asking() -> None:
    """A container's log must not wait for a buffer to fill."""
    with piped() as (lines, pipe, dropped):
        for number in range(1000):
            lines.write(encode_json({"message": str(number)}))
        while pipe.received.count(b"\n") < 1000:
            pipe.read()
        assert [event["message"] for event in pipe.events] == [str(n) for n in range(1000)]
        assert dropped == []


def test_a_reader_that_stands_still_costs_lines_which_are_counted_and_told() -> None:
    with piped() as (lines, pipe, dropped):
        count = 3 * MAX_WAITING_BYTES // len(LINE)
        for _ in range(count):  # would never end if it waited
            lines.write(LINE)
        assert len(dropped) >= count // 4  # it holds two times the bound at most
        while sum(event.get("dropped", 0) for event in pipe.whole) < len(dropped):
            pipe.read()
        *_, last = pipe.events
        assert (last["level"], last["message"]) == ("WARNING", LOST)
        assert pipe.received.count(LINE) == count - len(dropped)
        lines.write(LINE)
        pipe.received = b""
        pipe.read()
        assert pipe.received == LINE


def test_a_stop_does_not_wait_for_a_reader_that_stands_still() -> None:
    with piped() as (lines, _, _):
        for _ in range(10_000):
            lines.write(LINE)
        lines.close()
        lines.flush(seconds=0.01)


def test_a_stdout_that_fails_is_tried_again_and_what_it_missed_is_told(tmp_path: Path) -> None:
    dropped = list[None]()
    with Path("/dev/full").open("wb", buffering=0) as full, (tmp_path / "out").open("wb") as out:
        lines = LineLog(full, "json", None, lambda: dropped.append(None))
        for _ in range(3):
            lines.write(LINE)
            lines.flush()
        assert len(dropped) == 3
        lines._stream = out
        lines.write(LINE)
        lines.close()
    line, told = (tmp_path / "out").read_bytes().splitlines()
    assert line + b"\n" == LINE
    assert json.loads(told)["dropped"] == 3


def test_a_reader_that_is_gone_and_a_stream_that_is_closed_stop_nothing() -> None:
    pipe, dropped = Pipe(), list[None]()
    lines = LineLog(pipe.stream, "json", None, lambda: dropped.append(None))
    os.close(pipe.reading)
    lines.write(LINE)
    lines.flush()
    pipe.stream.close()
    lines.write(LINE)
    lines.close()
    assert len(dropped) == 2


def test_without_a_stdout_lines_go_to_the_file(tmp_path: Path) -> None:
    lines = LineLog(None, "json", tmp_path)
    lines.write(LINE)
    lines.close()
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == LINE


def test_lines_of_processes_that_share_a_pipe_are_not_mixed() -> None:
    program = """
import sys
from internal.infra.line_log import LineLog
lines = LineLog(open(1, "wb", buffering=0), "json", None)
for _ in range(3000):
    lines.write(sys.argv[1].encode() * 150 + b"\\n")
lines.close()
"""
    reading, writing = os.pipe()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, name],
            stdout=writing,
            preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
        )
        for name in "abcd"
    ]
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        received = pipe.read().splitlines()
    assert [process.wait(SECONDS) for process in processes] == [0] * 4
    assert sorted(received) == sorted(name * 150 for name in (b"a", b"b", b"c", b"d") * 3000)


def test_a_child_writes_its_own_lines_to_its_own_file_and_none_of_its_parents(
    tmp_path: Path,
) -> None:
    program = """
import os, sys
from io import BytesIO
from pathlib import Path
from internal.infra.line_log import LineLog
lines = LineLog(open(1, "wb", buffering=0), "json", Path(sys.argv[1]))
lines.write(b'"first"\\n')
lines.flush()
lines.write(b'"parent"\\n')
if not os.fork():
    lines.write(b'"child"\\n')
    lines.close()
    os._exit(0)
os.wait()
lines.close()
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert sorted(done.stdout.split()) == [b'"child"', b'"first"', b'"parent"']
    files = sorted(path.read_bytes() for path in tmp_path.iterdir())
    assert files == [b'"child"\n', b'"first"\n"parent"\n']


def test_last_words_are_out_before_the_process_can_end(log: Log) -> None:
    logger.critical("start failed")
    assert b"start failed" in log.stream.getvalue()


def test_an_event_that_comes_too_often_is_bounded_and_what_was_left_out_is_told(log: Log) -> None:
    count = 5 * log_repeats.MAX_A_WINDOW
    for number in range(count):
        logger.bind(logger="storm").error("{}", number)
        logger.bind(logger="storm").info("calm")
    wait_for(lambda: b"left out" in log.raw)
    wait_for(lambda: told(log) + seen(log, "ERROR") == count)
    assert log_repeats.MAX_A_WINDOW <= seen(log, "ERROR") < count
    assert seen(log, "INFO") == count
    assert all(event["source"] == "storm" for event in log.events if "left_out" in event)


def test_a_storm_at_one_place_leaves_others_their_events(log: Log) -> None:
    for _ in range(5 * log_repeats.MAX_A_WINDOW):
        logger.error("storm")
    logger.error("other")
    assert [event["message"] for event in log.events].count("other") == 1


def test_a_storm_of_exceptions_leaves_others_theirs_which_the_same_line_logs(log: Log) -> None:
    def frequent() -> None:
        raise ValueError

    def rare() -> None:
        raise ValueError

    for work in [frequent] * 2 * log_repeats.MAX_A_WINDOW + [rare]:
        try:
            work()
        except ValueError:
            logger.exception("unhandled")
    assert sum("in rare" in event.get("exception", "") for event in log.events) == 1
    assert seen(log, "ERROR") < 2 * log_repeats.MAX_A_WINDOW


def test_what_was_left_out_is_told_at_the_end_at_the_latest(make_settings: MakeSettings) -> None:
    with logging_of(make_settings()) as log:
        for _ in range(2 * log_repeats.MAX_A_WINDOW):
            logger.error("storm")
    assert told(log) + seen(log, "ERROR") == 2 * log_repeats.MAX_A_WINDOW


def test_many_threads_lose_no_line() -> None:
    with piped() as (lines, pipe, dropped):
        threads = [threading.Thread(target=write_some, args=(lines,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(pipe.received) < 8 * 2000 * 2:
            pipe.read()
        for thread in threads:
            thread.join()
        assert dropped == []


def write_some(lines: LineLog) -> None:
    for _ in range(2000):
        lines.write(b"x\n")


def told(log: Log) -> int:
    return sum(event.get("left_out", 0) for event in log.events)


def seen(log: Log, level: str) -> int:
    return sum(event["level"] == level for event in log.events)


def test_a_line_that_cannot_be_written_at_all_does_not_silence_those_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    stream = BytesIO()
    lines = LineLog(stream, "text", None)
    lines.write(b"no JSON\n")
    wait_for(lambda: bool(died))
    lines.write(event("INFO", "and on"))
    lines.close()
    assert b"and on" in stream.getvalue()


class Unwritable:
    def encode(self) -> bytes:
        raise LookupError("a defect of the event")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_event_that_cannot_be_made_a_line_costs_those_beside_it_nothing(
    log_format: Literal["json", "text"],
) -> None:
    stream = BytesIO()
    lines = LineLog(stream, log_format, None)
    for line in (event("INFO", "before"), Unwritable(), event("INFO", "behind")):
        lines.write(line)
    lines.close()
    before, told, behind = stream.getvalue().splitlines()
    assert b"before" in before
    assert b"an event could not be written" in told
    assert b"Unwritable" in told
    assert b"behind" in behind
