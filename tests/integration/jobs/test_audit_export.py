"""`audit.export`: a CSV of the audit log that is complete or not there, and harmless to open."""

import asyncio
import csv
import errno
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from internal.core.caller import OPERATOR, Caller, CallerKind
from internal.core.clock import utc_now
from internal.core.errors import NotFound
from internal.services import audit
from internal.services.audit import WALK_BATCH
from internal.services.jobs import states
from internal.services.kinds.audit_export import COLUMNS
from tests.integration.jobs.house import AT_ONCE, QUEUED, SUCCEEDED, House

pytestmark = pytest.mark.anyio


async def record(house: House, *actions: str, actor: int = 7, details: Any = None) -> None:
    caller = Caller(CallerKind.USER, actor, "203.0.113.9")
    async with house.unit_of_work.begin() as session:
        for action in actions:
            await audit.record(session, caller, action, ("user", "42"), details)


async def export(house: House, folder: Path, **payload: object) -> tuple[Any, list[dict[str, str]]]:
    """The job's result, and the rows of its file."""
    job = await house.execute("audit.export", house.services(export_dir=folder), **payload)
    assert job.status == SUCCEEDED
    with (folder / f"{job.id}-1.csv").open(newline="") as file:
        return job.result, list(csv.DictReader(file))


async def test_the_file_has_a_row_for_every_event_in_fixed_columns(
    house: House, tmp_path: Path
) -> None:
    await record(house, "user.create", "user.disable", details={"disabled": True, "名": "口"})
    _, rows = await export(house, tmp_path)
    assert [tuple(row) for row in rows] == [COLUMNS] * 2
    assert [row["action"] for row in rows] == ["user.create", "user.disable"]
    row = rows[1]
    assert (row["actor_kind"], row["actor_id"], row["object_id"]) == ("user", "7", "42")
    assert (row["address"], row["details"]) == ("203.0.113.9", '{"disabled": true, "名": "口"}')
    assert datetime.fromisoformat(row["created_at"]).tzinfo is not None


async def test_the_result_describes_the_file(house: House, tmp_path: Path) -> None:
    await record(house, "user.create")
    result, _ = await export(house, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert result == {
        "rows": 1,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_empty_log_is_a_file_with_its_columns(house: House, tmp_path: Path) -> None:
    result, rows = await export(house, tmp_path)
    assert (result["rows"], rows) == (0, [])


async def test_more_than_a_batch_is_one_file_in_order(house: House, tmp_path: Path) -> None:
    actions = [f"batch.n{number}" for number in range(2 * WALK_BATCH + 1)]
    await record(house, *actions)
    result, rows = await export(house, tmp_path)
    assert [row["action"] for row in rows] == actions
    assert result["rows"] == len(actions)


async def test_what_is_wanted_can_be_narrowed(house: House, tmp_path: Path) -> None:
    await record(house, "user.create")
    await record(house, "user.create", actor=8)
    await record(house, "user.disable")
    for payload, count in (
        ({"action": "user.create"}, 2),
        ({"actor_id": "7"}, 2),
        ({"action": "user.create", "actor_id": "8"}, 1),
        ({"action": "user.restore"}, 0),
    ):
        _, rows = await export(house, tmp_path, **payload)
        assert len(rows) == count


async def test_times_are_from_one_and_before_the_other(house: House, tmp_path: Path) -> None:
    await record(house, "first.one")
    await asyncio.sleep(0.01)
    between = utc_now()
    await asyncio.sleep(0.01)
    await record(house, "second.one")
    later = (between + timedelta(hours=1)).isoformat()
    for payload, actions in (
        ({"since": between.isoformat()}, ["second.one"]),
        ({"until": between.isoformat()}, ["first.one"]),
        ({"since": between.isoformat(), "until": later}, ["second.one"]),
        ({"since": later}, []),
        ({"since": "0001-01-01T00:00:00+14:00"}, ["first.one", "second.one"]),
        ({"until": "0001-01-01T00:00:00+14:00"}, []),
        ({"until": "9999-12-31T23:59:59-14:00"}, ["first.one", "second.one"]),
    ):
        _, rows = await export(house, tmp_path, **payload)
        assert [row["action"] for row in rows] == actions, payload


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠"]
)
async def test_a_cell_that_a_spreadsheet_would_calculate_is_text(
    house: House, tmp_path: Path, start: str
) -> None:
    formula = f'{start}HYPERLINK("http://evil","x")'
    async with house.unit_of_work.begin() as session:
        await audit.record(session, OPERATOR, "a.b", ("user", formula))
    _, (row,) = await export(house, tmp_path)
    assert row["object_id"] == f"'{formula}"


async def test_separators_quotes_and_lines_stay_within_their_cell(
    house: House, tmp_path: Path
) -> None:
    wild = 'a;=1,"b"\n=2\r\n'
    async with house.unit_of_work.begin() as session:
        await audit.record(session, OPERATOR, "a.b", ("user", wild))
    _, (row,) = await export(house, tmp_path)
    assert row["object_id"] == wild
    (path,) = tmp_path.iterdir()
    assert b'"a;=1,""b""' in path.read_bytes()


async def test_an_attempt_that_froze_and_wakes_does_not_touch_the_file_of_a_later_one(
    house: House, tmp_path: Path
) -> None:
    services = house.services(export_dir=tmp_path)
    frozen = await house.claimed(kind="audit.export")
    async with services.exports.create(frozen.id, frozen.attempt) as file:
        await file.write(b"half of it")
        await house.abandon(frozen.id)
        await house.write(lambda session: states.put_back_abandoned(session, lambda _: AT_ONCE))
        await house.make_due(frozen.id)
        job = await house.execute_again(frozen.id, services)
    path = await services.exports.find(OPERATOR, job.id)
    assert (job.status, job.attempt) == (SUCCEEDED, 2)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == job.result["sha256"]


async def test_the_file_of_an_attempt_that_has_not_succeeded_is_nobodys(
    house: House, tmp_path: Path
) -> None:
    services = house.services(export_dir=tmp_path)
    job = await house.claimed(kind="audit.export")
    async with services.exports.create(job.id, job.attempt) as file:
        await file.write(b"half of it")
    with pytest.raises(NotFound):
        await services.exports.find(OPERATOR, job.id)
    await house.write(lambda session: states.succeed(session, job, None))
    path = await services.exports.find(OPERATOR, job.id)
    assert path.read_bytes() == b"half of it"


async def test_a_folder_that_cannot_be_made_is_another_attempt_with_its_reason(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    services = house.services(export_dir=tmp_path / "file" / "exports")
    job = await house.execute("audit.export", services)
    assert (job.status, job.error) == (QUEUED, "EXPORT_DIR cannot be written: Not a directory")


async def test_a_full_disk_is_another_attempt_and_leaves_no_file(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("internal.infra.export_files.os.fsync", refuse)
    job = await house.execute("audit.export", house.services(export_dir=tmp_path))
    assert (job.status, job.error) == (
        QUEUED,
        "EXPORT_DIR cannot be written: No space left on device",
    )
    assert list(tmp_path.iterdir()) == []


async def test_an_export_that_is_cancelled_leaves_no_file(house: House, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def write_on() -> None:
        async with house.services(export_dir=tmp_path).exports.create(1, 1) as file:
            await file.write(b"half of it")
            begun.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write_on())
    async with asyncio.timeout(60):
        await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert list(tmp_path.iterdir()) == []


async def test_the_log_is_read_by_its_key_and_in_batches(
    shared_house: House, tmp_path: Path
) -> None:
    house = shared_house
    await record(house, *["a.b"] * 2000)
    explained = await _explain(
        house,
        "SELECT * FROM audit_events WHERE id > 5 AND created_at < NOW() ORDER BY id LIMIT 1000",
    )
    assert (explained["key"], "filesort" in str(explained["Extra"])) == ("PRIMARY", False)


async def _explain(house: House, statement: str) -> Mapping[str, Any]:
    async with house.unit_of_work.read() as session:
        rows: Sequence[Any] = (
            await session.execute(text(f"EXPLAIN FORMAT=TRADITIONAL {statement}"))
        ).all()
    (row,) = rows
    found: Mapping[str, Any] = row._mapping
    return found


async def test_old_files_and_old_halves_are_deleted_and_nobody_elses(
    house: House, tmp_path: Path
) -> None:
    services = house.services(export_dir=tmp_path)
    long_ago = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    for name in ("1-2.csv", ".export-abc.part", "notes.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "2-1.csv").touch()
    job = await house.execute("maintenance.purge", services)
    assert (job.status, job.result["exports"]) == (SUCCEEDED, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"2-1.csv", "notes.txt"}


async def test_a_folder_that_is_not_there_has_nothing_to_delete(
    house: House, tmp_path: Path
) -> None:
    job = await house.execute("maintenance.purge", house.services(export_dir=tmp_path / "none"))
    assert (job.status, job.result["exports"]) == (SUCCEEDED, 0)
