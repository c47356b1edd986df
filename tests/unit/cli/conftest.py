import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner, Result

from internal.cli import app, main
from internal.config.settings import KEYS
from tests.unit.config.folder import AES_SECRET, JWT_SECRET, Folder, prod_folder
from tests.unit.http.serving import forget_logging

type Run = Callable[..., Result]


class Done(NamedTuple):
    """How a command has ended, and what it has printed."""

    code: object
    out: str
    err: str


class Stdin(io.TextIOWrapper):
    """What is piped into a command, or typed at a terminal."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal


type Groundwork = Callable[..., Done]


@pytest.fixture(autouse=True)
def no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a HOST or an APP_ENV."""
    for name in (*KEYS, *(f"{key}_FILE" for key in KEYS), "CONFIG_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return prod_folder(tmp_path)


@pytest.fixture
def run(folder: Folder) -> Iterator[Run]:
    """`groundwork` with these arguments, in the folder's environment and no other."""
    levels = {name: logging.getLogger(name).level for name in ("", "sqlalchemy.engine")}

    def run(*arguments: str, stdin: bytes | str | None = None) -> Result:
        return CliRunner(env=folder.environ).invoke(app, arguments, input=stdin)

    yield run
    forget_logging()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def embedded(tmp_path: Path) -> Folder:
    """A folder whose environment is complete for SQLite; nothing is migrated yet."""
    values = {
        "APP_ENV": "test",
        "CONFIG_DIR": str(tmp_path),
        "DATA_DIR": str(tmp_path / "var"),
        "AES_SECRET": AES_SECRET,
        "JWT_SECRET": JWT_SECRET,
        "SNOWFLAKE_NODE_ID": "1",
    }
    folder = Folder(tmp_path, values)
    folder.write(".env.test", "DB_TYPE=sqlite\nREDIS_MODE=embedded\n")
    return folder


@pytest.fixture
def groundwork(
    embedded: Folder, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Groundwork:
    """`groundwork` through its entry point, on SQLite: what a shell sees of it."""
    del run  # for the environment and the logging that it puts back

    def groundwork(*arguments: str, stdin: bytes = b"") -> Done:
        with monkeypatch.context() as patch:
            for key, value in embedded.environ.items():
                patch.setenv(key, value)
            patch.setattr(sys, "argv", ["groundwork", *arguments])
            patch.setattr(sys, "stdin", Stdin(io.BytesIO(stdin), encoding="utf-8"))
            with pytest.raises(SystemExit) as exited:
                main()
        return Done(exited.value.code, *capfd.readouterr())

    return groundwork
