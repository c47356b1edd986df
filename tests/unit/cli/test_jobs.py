"""`groundwork jobs list|show|retry|cancel|purge`."""

import asyncio
import json
import sqlite3
from datetime import timedelta

import pytest

from internal.config.load_config import load_config
from internal.core.clock import utc_now
from internal.core.snowflake import Snowflake
from internal.infra.database import open_database
from internal.models.job import Job
from internal.services.jobs import states
from internal.services.unit_of_work import UnitOfWork
from tests.unit.cli.conftest import Groundwork
from tests.unit.cli.refusals import refusal
from tests.unit.config.folder import Folder


@pytest.fixture(autouse=True)
def migrated(groundwork: Groundwork) -> None:
    assert groundwork("migrate").code == 0


def make_job(folder: Folder) -> str:
    """A job that waits until tomorrow; its id."""

    async def make() -> int:
        job = Job(
            kind="maintenance.purge",
            queue="default",
            trace_id="0" * 32,
            payload={"keep_days": 7},
            max_attempts=5,
            next_run_at=utc_now() + timedelta(days=1),
        )
        async with (
            open_database(load_config(folder.environ).settings) as database,
            UnitOfWork(database, Snowflake(2)).begin() as session,
        ):
            return (await states.enqueue(session, job)).id

    return str(asyncio.run(make()))


def change(folder: Folder, statement: str, *values: object) -> None:
    database = sqlite3.connect(folder.path / "var" / "groundwork.sqlite3")
    with database:
        database.execute(statement, values)
    database.close()


def test_jobs_are_listed_the_newest_first_and_by_kind_and_status(
    groundwork: Groundwork, embedded: Folder
) -> None:
    first, second = make_job(embedded), make_job(embedded)
    done = groundwork("jobs", "list")
    assert (done.code, done.err) == (0, "2 in all\n")
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[0] for line in lines] == [second, first]
    assert lines[0][1:4] == ["maintenance.purge", "queued", "0/5"]
    assert groundwork("jobs", "cancel", first).code == 0
    assert groundwork("jobs", "list", "--status", "cancelled").out.startswith(first)
    assert groundwork("jobs", "list", "--kind", "no.such").err == "0 in all\n"
    assert groundwork("jobs", "list", "--status", "lost").code == 2


def test_show_prints_the_job_and_its_events(groundwork: Groundwork, embedded: Folder) -> None:
    job_id = make_job(embedded)
    groundwork("jobs", "cancel", job_id)
    done = groundwork("jobs", "show", job_id)
    assert (done.code, done.err) == (0, "")
    described, _, events = done.out.rpartition("}\n")
    job = json.loads(described + "}")
    assert (job["id"], job["status"], job["payload"]) == (job_id, "cancelled", {"keep_days": 7})
    lines = [line.split("\t") for line in events.splitlines()]
    assert [(line[0], line[2]) for line in lines] == [("1", "queued"), ("2", "cancelled")]


def test_what_a_job_says_cannot_steer_a_terminal_or_forge_a_line(
    groundwork: Groundwork, embedded: Folder
) -> None:
    job_id = make_job(embedded)
    change(embedded, "UPDATE jobs SET error = ?", "a\tb\n\x1b[2J")
    change(embedded, "UPDATE job_events SET message = ?", "a\tb\n\x1b[2J")
    for command in (("list",), ("show", job_id)):
        last = groundwork("jobs", *command).out.splitlines()[-1]
        assert last.endswith("\ta b  [2J")


def test_a_job_is_cancelled_and_put_back_once(groundwork: Groundwork, embedded: Folder) -> None:
    job_id = make_job(embedded)
    assert "only a job that failed" in refusal(groundwork("jobs", "retry", job_id))
    assert groundwork("jobs", "cancel", job_id) == (0, f"cancelled: {job_id}\n", "")
    assert refusal(groundwork("jobs", "cancel", job_id)) == "the job is finished"
    assert groundwork("jobs", "retry", job_id) == (0, f"queued: {job_id}\n", "")


def test_a_job_that_runs_is_asked_to_stop(groundwork: Groundwork, embedded: Folder) -> None:
    job_id = make_job(embedded)
    change(embedded, "UPDATE jobs SET status = 'running'")
    assert groundwork("jobs", "cancel", job_id).out == f"asked to stop: {job_id}\n"


def test_purge_deletes_what_ended_so_long_ago(groundwork: Groundwork, embedded: Folder) -> None:
    old, recent, waiting = make_job(embedded), make_job(embedded), make_job(embedded)
    for job_id in (old, recent):
        groundwork("jobs", "cancel", job_id)
    change(embedded, "UPDATE jobs SET finished_at = '2020-01-01 00:00:00' WHERE id = ?", old)
    assert groundwork("jobs", "purge", "--older-than", "30") == (0, "deleted: 1\n", "")
    assert refusal(groundwork("jobs", "show", old)) == "not found"
    assert groundwork("jobs", "purge", "--older-than", "0").out == "deleted: 1\n"
    assert groundwork("jobs", "list").out.startswith(waiting)


@pytest.mark.parametrize("days", ["-1", "36501", "x"])
def test_days_that_make_no_sense_delete_nothing(groundwork: Groundwork, days: str) -> None:
    assert groundwork("jobs", "purge", "--older-than", days).code == 2


def test_purge_asks_for_an_age(groundwork: Groundwork) -> None:
    assert groundwork("jobs", "purge").code == 2


@pytest.mark.parametrize("verb", ["show", "cancel", "retry"])
def test_an_unknown_job_is_one_line(groundwork: Groundwork, verb: str) -> None:
    assert refusal(groundwork("jobs", verb, "5")) == "not found"
    assert groundwork("jobs", verb, str(1 << 63)).code == 2
