"""LOG_DIR: a file a process and UTC day, kept 30 days; a folder that fails stops nothing."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from loguru import logger

from internal.infra import daily_file
from internal.infra.daily_file import KEEP_DAYS, DailyFile
from tests.conftest import MakeSettings
from tests.unit.infra.log import logging_of


class Calendar(datetime):
    """Today, as a test sets it."""

    today_utc = datetime(2024, 2, 28, 23, 59, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> Self:
        assert tz is UTC
        return cls.today_utc  # type: ignore[return-value]


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> type[Calendar]:
    monkeypatch.setattr(daily_file, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_utc", Calendar.today_utc)
    return Calendar


def tell_nobody(level: str, text: str) -> None:
    raise AssertionError(f"{level} {text}")


def name_of(day: str) -> str:
    return f"groundwork-{day}.{os.getpid()}.log"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_line_is_in_the_file_as_it_is_on_stdout(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "made" / "logs"
    for log_format in ("json", "text"):
        with logging_of(make_settings(LOG_DIR=folder, LOG_FORMAT=log_format)) as log:
            logger.info("x")
            log.flush()
            (path,) = folder.iterdir()
            assert path.read_bytes() == log.raw  # at once, and not when it is closed
        path.unlink()


def test_a_file_is_named_by_day_and_process_and_added_to(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        file = DailyFile(tmp_path, tell_nobody)
        file.write([line])
        file.close()
    today = datetime.now(UTC).date().isoformat()
    assert contents(tmp_path) in (
        {name_of(today): b"one\ntwo\n"},
        {name_of(today): b"two\n"} | contents(tmp_path),  # midnight came in between
    )


def test_at_midnight_utc_the_next_file_begins(tmp_path: Path, calendar: type[Calendar]) -> None:
    file = DailyFile(tmp_path, tell_nobody)
    file.write([b"before\n"])
    calendar.today_utc += timedelta(minutes=1)
    file.write([b"after\n"])
    file.write([b"and later\n"])
    file.close()
    assert contents(tmp_path) == {
        name_of("2024-02-28"): b"before\n",
        name_of("2024-02-29"): b"after\nand later\n",
    }


def test_files_are_kept_for_30_days_those_of_other_processes_too(
    tmp_path: Path, calendar: type[Calendar]
) -> None:
    assert KEEP_DAYS == 30
    kept = ["groundwork-2024-01-29.1.log", "groundwork-2024-02-27.4711.log"]
    old = ["groundwork-2024-01-28.1.log", "groundwork-2023-12-31.4711.log"]
    others = ["groundwork-.log", "groundwork-0-notes.log", "other-2020-01-01.1.log", "a.txt"]
    for name in (*kept, *old, *others):
        (tmp_path / name).touch()
    file = DailyFile(tmp_path, tell_nobody)
    file.write([b"x\n"])
    file.close()
    assert contents(tmp_path).keys() == {*kept, *others, name_of("2024-02-28")}


def test_old_files_go_at_each_midnight_and_not_only_at_the_start(
    tmp_path: Path, calendar: type[Calendar]
) -> None:
    file = DailyFile(tmp_path, tell_nobody)
    for _ in range(KEEP_DAYS + 5):
        file.write([b"x\n"])
        calendar.today_utc += timedelta(days=1)
    file.close()
    assert len(contents(tmp_path)) == KEEP_DAYS + 1  # today and the 30 days before


def test_a_folder_that_cannot_be_written_is_said_once_on_stdout_and_stops_nothing(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with logging_of(make_settings(LOG_DIR=tmp_path / "file" / "logs")) as log:
        for number in range(3):
            logger.info("{}", number)
            log.flush()
    first, said, *rest = log.events
    assert [event["message"] for event in (first, *rest)] == ["0", "1", "2"]
    assert said["level"] == "WARNING"
    assert said["message"] == (
        f"LOG_DIR {tmp_path}/file/logs: Not a directory; lines go to stdout alone"
    )


def test_a_disk_that_is_full_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calendar: type[Calendar]
) -> None:
    path = tmp_path / name_of("2024-02-28")
    path.symlink_to("/dev/full")
    said: list[str] = []
    file = DailyFile(tmp_path, lambda level, text: said.append(f"{level} {text}"))
    for _ in range(3):
        file.write([b"lost\n", b"lost\n"])
    path.unlink()
    file.write([b"lost, too: it is not yet time\n"])
    assert not path.exists()
    monkeypatch.setattr(daily_file, "RETRY_SECONDS", 0.0)
    file._retry_at = 0.0
    file.write([b"written\n"])
    file.close()
    assert path.read_bytes() == b"written\n"
    assert said == [
        f"WARNING LOG_DIR {tmp_path}: No space left on device; lines go to stdout alone",
        f"INFO LOG_DIR {tmp_path}: written again, 7 lines are not",
    ]


def test_a_disk_that_fills_up_within_a_line_leaves_no_half_of_it(tmp_path: Path) -> None:
    """By a limit of the process, which anybody may set: the disk's end comes to the same."""
    program = """
import resource, sys
from pathlib import Path
from internal.infra.daily_file import DailyFile
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = DailyFile(Path(sys.argv[1]), lambda level, text: print(level, text))
for _ in range(20):
    file.write([b"x" * 299 + b"\\n"])
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"WARNING LOG_DIR {tmp_path}: File too large; lines go to stdout alone\n"
    (content,) = contents(tmp_path).values()
    assert content == (b"x" * 299 + b"\n") * 3


def test_a_file_or_folder_that_somebody_deletes_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    file = DailyFile(folder, tell_nobody)
    file.write([b"one\n"])
    next(folder.iterdir()).unlink()
    file.write([b"two\n"])
    assert list(contents(folder).values()) == [b"two\n"]
    shutil.rmtree(folder)
    file.write([b"three\n"])
    file.write([b"four\n"])
    file.close()
    assert list(contents(folder).values()) == [b"three\nfour\n"]


def test_closing_twice_and_without_a_line_is_fine(tmp_path: Path) -> None:
    file = DailyFile(tmp_path, tell_nobody)
    file.close()
    file.write([b"x\n"])
    file.close()
    file.close()
    assert list(contents(tmp_path).values()) == [b"x\n"]
