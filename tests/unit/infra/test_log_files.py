"""LOG_DIR: a file a process and UTC day, kept 30 days; a folder that fails stops nothing."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from loguru import logger

from internal.infra import logging as log_module
from internal.infra.logging import KEEP_DAYS, DailyFile
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
    monkeypatch.setattr(log_module, "datetime", Calendar)
    monkeypatch.setattr(Calendar, "today_utc", Calendar.today_utc)
    return Calendar


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
            (path,) = folder.iterdir()
            assert path.read_bytes() == log.raw  # at once, and not when it is closed
        path.unlink()


def test_a_file_is_named_by_day_and_process_and_added_to(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        file = DailyFile(tmp_path)
        file.write(line)
        file.close()
    today = datetime.now(UTC).date().isoformat()
    assert contents(tmp_path) in (
        {name_of(today): b"one\ntwo\n"},
        {name_of(today): b"two\n"} | contents(tmp_path),  # midnight came in between
    )


def test_at_midnight_utc_the_next_file_begins(tmp_path: Path, calendar: type[Calendar]) -> None:
    file = DailyFile(tmp_path)
    file.write(b"before\n")
    calendar.today_utc += timedelta(minutes=1)
    file.write(b"after\n")
    file.write(b"and later\n")
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
    file = DailyFile(tmp_path)
    file.write(b"x\n")
    file.close()
    assert contents(tmp_path).keys() == {*kept, *others, name_of("2024-02-28")}


def test_old_files_go_at_each_midnight_and_not_only_at_the_start(
    tmp_path: Path, calendar: type[Calendar]
) -> None:
    file = DailyFile(tmp_path)
    for _ in range(KEEP_DAYS + 5):
        file.write(b"x\n")
        calendar.today_utc += timedelta(days=1)
    file.close()
    assert len(contents(tmp_path)) == KEEP_DAYS + 1  # today and the 30 days before


def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nothing(
    make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = make_settings(LOG_DIR=tmp_path / "file" / "logs")
    with logging_of(settings) as log:
        for number in range(3):
            logger.info("{}", number)
    assert [event["message"] for event in log.events] == ["0", "1", "2"]
    assert capsys.readouterr().err == (
        f"LOG_DIR {tmp_path}/file/logs: Not a directory; lines go to stdout alone today\n"
    )


def test_a_disk_that_is_full_is_said_once_and_tried_again_tomorrow(
    tmp_path: Path, calendar: type[Calendar], capsys: pytest.CaptureFixture[str]
) -> None:
    file = DailyFile(tmp_path)
    file.write(b"before\n")
    assert file._file is not None
    file._file.close()
    with Path("/dev/full").open("ab", buffering=0) as full:
        file._file = full
        for _ in range(3):
            file.write(b"lost\n")
    assert capsys.readouterr().err == (
        f"LOG_DIR {tmp_path}: No space left on device; lines go to stdout alone today\n"
    )
    calendar.today_utc += timedelta(days=1)
    file.write(b"tomorrow\n")
    file.close()
    assert contents(tmp_path)[name_of("2024-02-29")] == b"tomorrow\n"


def test_closing_twice_and_without_a_line_is_fine(tmp_path: Path) -> None:
    file = DailyFile(tmp_path)
    file.close()
    file.write(b"x\n")
    file.close()
    file.close()
