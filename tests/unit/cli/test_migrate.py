"""`groundwork migrate` and `migrate --check`, on SQLite."""

import sqlite3
from pathlib import Path

import pytest

from internal.migrations import known_revisions
from tests.unit.cli.conftest import Run
from tests.unit.config.folder import AES_SECRET, JWT_SECRET, Folder

ALL = ", ".join(known_revisions())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(
        tmp_path,
        {
            "APP_ENV": "test",
            "CONFIG_DIR": str(tmp_path),
            "DATA_DIR": str(tmp_path / "var"),
            "AES_SECRET": AES_SECRET,
            "JWT_SECRET": JWT_SECRET,
            "LOG_LEVEL": "WARNING",
        },
    )
    folder.write(".env.test", "DB_TYPE=sqlite\nREDIS_MODE=embedded\n")
    return folder


def set_revision(folder: Folder, revision: str) -> None:
    database = sqlite3.connect(folder.path / "var" / "groundwork.sqlite3")
    with database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
    database.close()


def test_check_names_what_is_missing_and_exits_1_and_changes_nothing(
    run: Run, folder: Folder
) -> None:
    for _ in range(2):
        result = run("migrate", "--check")
        assert (result.exit_code, result.stdout) == (1, f"missing: {ALL}\n")


def test_migrate_applies_what_is_missing_once(run: Run) -> None:
    first = run("migrate")
    assert (first.exit_code, first.stdout, first.stderr) == (0, f"applied: {ALL}\n", "")
    second = run("migrate")
    assert (second.exit_code, second.stdout) == (0, "nothing to apply\n")
    check = run("migrate", "--check")
    assert (check.exit_code, check.stdout) == (0, "nothing is missing\n")


def test_a_newer_database_is_left_as_it_is_and_warned_about(run: Run, folder: Folder) -> None:
    run("migrate")
    set_revision(folder, "9999")
    result = run("migrate")
    assert result.exit_code == 0
    warning, told = result.stdout.splitlines()
    assert "the database is newer than this release" in warning
    assert told == "nothing to apply"


def test_a_database_of_somebody_else_is_one_line_and_not_touched(run: Run, folder: Folder) -> None:
    run("migrate")
    set_revision(folder, "0000_other")
    result = run("migrate")
    assert result.exit_code == 1
    assert str(result.exception) == (
        "migrate: the database is at revision 0000_other, unknown to this release"
    )


def test_a_wrong_configuration_exits_78_before_anything_is_opened(run: Run, folder: Folder) -> None:
    folder.environ["PORT"] = "eighty"
    result = run("migrate")
    assert result.exit_code == 78
    assert result.stderr.startswith("CRITICAL: Config load failed: PORT: ")
    assert not (folder.path / "var").exists()
