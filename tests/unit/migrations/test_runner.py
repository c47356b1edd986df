"""`migrate` and `missing_revisions` on SQLite, with revisions of the test's own."""

import fcntl
import shutil
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from internal import migrations
from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.statements import UnboundedWrite
from internal.migrations import runner
from internal.migrations.runner import migrate, missing_revisions
from tests.conftest import MakeSettings

type AddRevision = Callable[[str, str], Path]


@pytest.fixture
def add_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddRevision:
    """Puts the revisions into a folder of their own, with only the first; adds others to it."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.VERSIONS.parent, folder)
    for revision in (folder / "versions").glob("*.py"):
        if not revision.name.startswith("0001_"):
            revision.unlink()
    monkeypatch.setattr(migrations, "VERSIONS", folder / "versions")
    monkeypatch.setattr(runner, "__file__", str(folder / "runner.py"))
    # A revision written anew within the second would be taken for its bytecode.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def add(number: str, sql: str) -> Path:
        path = folder / "versions" / f"{number}_test.py"
        path.write_text(
            "from alembic import op\n"
            f"revision = {number!r}\n"
            f"down_revision = '{int(number) - 1:04}'\n"
            f"def upgrade(): op.execute({sql!r})\n"
            "def downgrade(): pass\n"
        )
        return path

    return add


def tables(settings: Settings) -> set[str]:
    connection = sqlite3.connect(settings.data_dir / "groundwork.sqlite3")
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in rows}


def test_what_is_missing_is_applied_in_order_and_only_once(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    settings = make_settings()
    add_revision("0002", "CREATE TABLE one (id INTEGER)")
    add_revision("0003", "ALTER TABLE one RENAME TO two")
    assert missing_revisions(settings) == ["0001", "0002", "0003"]
    assert migrate(settings) == ["0001", "0002", "0003"]
    assert tables(settings) == {"alembic_version", "two"}
    assert migrate(settings) == []
    add_revision("0004", "CREATE TABLE three (id INTEGER)")
    assert missing_revisions(settings) == ["0004"]
    assert migrate(settings) == ["0004"]
    assert missing_revisions(settings) == []


def test_asking_what_is_missing_changes_nothing(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    settings = make_settings()
    assert missing_revisions(settings) == ["0001"]
    assert tables(settings) == set()


def test_a_revision_that_fails_leaves_the_ones_before_it_and_is_one_line(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    settings = make_settings()
    add_revision("0002", "CREATE TABLE one (id INTEGER)")
    broken = add_revision("0003", "CREATE TABLE one (id INTEGER)")
    with pytest.raises(StartError, match=r"^database: .*groundwork\.sqlite3: table one already"):
        migrate(settings)
    assert missing_revisions(settings) == ["0003"]
    broken.unlink()
    add_revision("0003", "CREATE TABLE two (id INTEGER)")
    assert migrate(settings) == ["0003"]
    assert tables(settings) == {"alembic_version", "one", "two"}


def test_a_revision_cannot_write_without_a_where(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    add_revision("0002", "DELETE FROM alembic_version")
    with pytest.raises(UnboundedWrite):
        migrate(make_settings())


def test_a_newer_database_is_left_as_it_is(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    settings = make_settings()
    newest = add_revision("0002", "CREATE TABLE one (id INTEGER)")
    migrate(settings)
    newest.unlink()
    assert migrate(settings) == []
    assert missing_revisions(settings) == []
    assert "one" in tables(settings)


@pytest.mark.parametrize("ask", [migrate, missing_revisions])
def test_a_revision_that_nobody_knows_is_an_error(
    make_settings: MakeSettings, ask: Callable[[Settings], list[str]]
) -> None:
    settings = make_settings()
    migrate(settings)
    connection = sqlite3.connect(settings.data_dir / "groundwork.sqlite3")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    with pytest.raises(StartError, match="the database is at revision 0000, unknown to this"):
        ask(settings)


def test_any_number_may_start_at_once_and_one_applies(
    make_settings: MakeSettings, add_revision: AddRevision
) -> None:
    settings = make_settings()
    add_revision("0002", "CREATE TABLE one (id INTEGER)")
    with ThreadPoolExecutor(8) as threads:
        applied = list(threads.map(migrate, [settings] * 8))
    assert sorted(applied) == [[]] * 7 + [["0001", "0002"]]


def test_a_file_is_not_opened_before_it_is_this_ones_turn(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses at once who comes while another makes the file, or is the last to leave it."""
    settings = make_settings()
    was_there: list[bool] = []

    def lock(file: IO[str], operation: int) -> None:
        was_there.append((settings.data_dir / "groundwork.sqlite3").exists())
        fcntl.flock(file, operation)

    monkeypatch.setattr(runner, "flock", lock)
    migrate(settings)
    assert was_there == [False]


def test_a_lock_that_cannot_be_made_is_one_line_that_names_it(make_settings: MakeSettings) -> None:
    settings = make_settings()
    (settings.data_dir / "migrate.lock").mkdir(parents=True)
    with pytest.raises(StartError) as caught:
        migrate(settings)
    assert str(caught.value) == (
        f"DATA_DIR: {settings.data_dir}/migrate.lock cannot be written: Is a directory"
    )


@pytest.mark.parametrize("ask", [migrate, missing_revisions])
def test_a_database_that_cannot_be_opened_is_one_line_that_names_it(
    make_settings: MakeSettings, ask: Callable[[Settings], list[str]]
) -> None:
    settings = make_settings()
    (settings.data_dir / "groundwork.sqlite3").mkdir(parents=True)
    with pytest.raises(StartError) as caught:
        ask(settings)
    assert str(caught.value) == (
        f"database: {settings.data_dir}/groundwork.sqlite3: unable to open database file"
    )


def test_a_data_folder_that_cannot_be_made_is_one_line_that_names_it(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"^DATA_DIR: .*file/var cannot be made: Not a directory"):
        migrate(make_settings(DATA_DIR=tmp_path / "file" / "var"))
