"""The command itself: verbs, exit codes, and no traceback for what was foreseen."""

import importlib
import sys

import pytest

from internal import cli, server
from internal.config.settings import Settings
from tests.unit.cli.conftest import Run
from tests.unit.config.folder import Folder


def run_main(monkeypatch: pytest.MonkeyPatch, folder: Folder, *arguments: str) -> object:
    """The exit code of `groundwork` with these arguments, through its entry point."""
    for key, value in folder.environ.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", ["groundwork", *arguments])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return exited.value.code


def test_help_lists_the_verbs_and_loads_no_configuration(run: Run, folder: Folder) -> None:
    folder.environ["APP_ENV"] = "broken"
    result = run("--help")
    assert result.exit_code == 0
    for verb in ("serve", "migrate", "config"):
        assert verb in result.stdout


def test_the_module_of_the_entry_point_runs_nothing_when_it_is_imported() -> None:
    assert importlib.import_module("internal.__main__").main is cli.main


def test_an_unknown_verb_is_a_usage_error(run: Run) -> None:
    assert run("fly").exit_code == 2


def test_a_part_that_cannot_start_is_one_line_on_stderr_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Folder
) -> None:
    folder.environ |= {"DB_HOST": "127.0.0.1", "DB_PORT": "1"}  # where nobody listens
    assert run_main(monkeypatch, folder, "migrate") == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("CRITICAL: database: mysql at 127.0.0.1:1: ")
    assert lines[0].endswith("(2003); check DB_HOST and DB_PORT and that the server runs")


def test_a_wrong_configuration_is_one_line_a_problem_and_exit_code_78(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Folder
) -> None:
    folder.environ |= {"PORT": "eighty", "WORKERS": "0"}
    assert run_main(monkeypatch, folder, "serve") == 78
    output = capfd.readouterr()
    assert output.out == ""
    assert [line.split(": ")[2] for line in output.err.splitlines()] == ["PORT", "WORKERS"]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the server was started with; it is started for real by the system's tests."""
    served: list[Settings] = []
    monkeypatch.setattr(server, "serve", served.append)
    return served


def test_options_win_over_the_environment(run: Run, folder: Folder, served: list[Settings]) -> None:
    folder.environ |= {"HOST": "192.0.2.1", "PORT": "9000", "WORKERS": "2"}
    assert run("serve").exit_code == 0
    assert run("serve", "--host", "::1", "--port", "0", "--workers", "3").exit_code == 0
    assert [(settings.host, settings.port, settings.workers) for settings in served] == [
        ("192.0.2.1", 9000, 2),
        ("::1", 0, 3),
    ]


def test_an_option_that_is_wrong_is_the_configurations_error(
    run: Run, served: list[Settings]
) -> None:
    result = run("serve", "--port", "70000")
    assert result.exit_code == 78
    assert result.stderr.startswith("CRITICAL: Config load failed: PORT: ")
    assert served == []


@pytest.mark.parametrize(("app_env", "migrates"), [("local", True), ("test", False)])
def test_only_local_migrates_by_itself(
    run: Run, folder: Folder, served: list[Settings], app_env: str, migrates: bool
) -> None:
    folder.write(f".env.{app_env}", "DB_TYPE=sqlite\nREDIS_MODE=embedded\n")
    folder.environ |= {"APP_ENV": app_env, "DATA_DIR": str(folder.path / "var")}
    folder.environ["DB_DATABASE"] = "made"
    assert run("serve").exit_code == 0
    assert len(served) == 1
    assert (folder.path / "var" / "made.sqlite3").exists() == migrates
