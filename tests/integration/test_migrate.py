"""Migrations on the real database, by the real command."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.migrations import known_revisions, runner
from tests import command
from tests.servers import DatabaseServer
from tests.unit.http.serving import Lines, serving

pytestmark = pytest.mark.anyio

PROCESSES = 10
NEWER = "9999"
APPLIED = f"applied: {', '.join(known_revisions())}"


@pytest.fixture
def env(tmp_path: Path, database_server: DatabaseServer, database: str) -> dict[str, str]:
    real = {**database_server.environment(), "DB_DATABASE": database}
    return command.environment(tmp_path, {**real, "REDIS_HOST": "unused"})


async def set_revision(engine: AsyncEngine, revision: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :it WHERE true"), {"it": revision}
        )


async def revisions(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        rows = await connection.scalars(text("SELECT version_num FROM alembic_version"))
        return list(rows)


async def test_ten_processes_at_once_apply_each_revision_once(
    env: dict[str, str], engine: AsyncEngine
) -> None:
    processes = [command.start(env, "migrate") for _ in range(PROCESSES)]
    outputs = [process.communicate(timeout=command.SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    said = sorted(out.splitlines()[-1] for out, _ in outputs)
    assert said == sorted([APPLIED, *["nothing to apply"] * (PROCESSES - 1)])
    assert [err for _, err in outputs] == [""] * PROCESSES
    assert await revisions(engine) == known_revisions()[-1:]


async def test_check_says_what_is_missing_and_changes_nothing(
    env: dict[str, str], settings: Settings, engine: AsyncEngine
) -> None:
    missing = command.run(env, "migrate", "--check")
    assert missing.returncode == 1
    assert missing.stdout.endswith(f"missing: {', '.join(known_revisions())}\n")
    async with engine.connect() as connection:
        assert (await connection.scalars(text("SHOW TABLES"))).all() == []
    runner.migrate(settings)
    complete = command.run(env, "migrate", "--check")
    assert (complete.returncode, complete.stderr) == (0, "")
    assert complete.stdout.endswith("nothing is missing\n")


async def test_a_newer_database_is_left_as_it_is(
    settings: Settings, engine: AsyncEngine, env: dict[str, str]
) -> None:
    runner.migrate(settings)
    await set_revision(engine, NEWER)
    for arguments in (["migrate"], ["migrate", "--check"]):
        done = command.run(env, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "the database is newer than this release; nothing to do" in done.stdout
    assert await revisions(engine) == [NEWER]


async def test_a_revision_that_nobody_knows_is_one_clear_line(
    settings: Settings, engine: AsyncEngine, env: dict[str, str]
) -> None:
    runner.migrate(settings)
    await set_revision(engine, "0000-gone")
    done = command.run(env, "migrate")
    assert done.returncode == 1
    assert done.stderr == (
        "CRITICAL: migrate: the database is at revision 0000-gone, unknown to this release\n"
    )


def test_a_migration_waits_for_the_one_that_holds_the_lock(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT_SECONDS", 0)
    with runner._locked_connection(settings):
        with pytest.raises(StartError, match="another migration has held the lock"):
            runner.migrate(settings)
        assert runner.missing_revisions(settings) == known_revisions()
    assert runner.migrate(settings) == known_revisions()


def test_migrations_of_two_databases_of_a_server_do_not_wait_for_each_other(
    settings: Settings, database_server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT_SECONDS", 0)
    other = settings.model_copy(update={"db_database": database_server.database})
    with runner._locked_connection(other):
        assert runner.migrate(settings) == known_revisions()


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request asks the database."""
    monkeypatch.setattr("internal.services.health.CACHE_SECONDS", 0)


@pytest.mark.usefixtures("no_cache")
async def test_an_older_database_is_not_ready_and_says_so_until_it_is_migrated(
    settings: Settings, engine: AsyncEngine
) -> None:
    behind = "schema is behind the code: run `groundwork migrate`"
    async with serving(settings) as served:

        async def state() -> tuple[int, str]:
            reply = await served.http.get("/readyz")
            return reply.status_code, reply.json()["data"]["parts"]["database"]

        assert await state() == (503, behind)
        # Not in the loop: what the service has just begun must be able to end.
        await asyncio.to_thread(runner.migrate, settings)
        assert await state() == (200, "ok")
        await set_revision(engine, "0000")
        assert await state() == (503, behind)
        assert (await served.http.get("/livez")).status_code == 200


@pytest.mark.usefixtures("no_cache")
async def test_a_newer_database_is_ready_and_that_is_logged_once(
    settings: Settings, engine: AsyncEngine, lines: Lines
) -> None:
    runner.migrate(settings)
    await set_revision(engine, NEWER)
    async with serving(settings) as served:
        for _ in range(3):
            assert (await served.http.get("/readyz")).status_code == 200
    (line,) = [line for line in lines.all if "schema is ahead of the code" in line["message"]]
    assert (line["level"], line["revision"]) == ("WARNING", NEWER)
