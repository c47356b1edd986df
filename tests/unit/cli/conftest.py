import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from internal.cli import app
from internal.config.settings import KEYS
from tests.unit.config.folder import Folder, prod_folder
from tests.unit.http.serving import forget_logging

type Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return prod_folder(tmp_path)


@pytest.fixture
def run(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`groundwork` with these arguments, in the folder's environment and no other settings."""
    for key in KEYS:  # the shell of whoever runs the tests may have a HOST or an APP_ENV
        monkeypatch.delenv(key, raising=False)
    levels = {name: logging.getLogger(name).level for name in ("", "sqlalchemy.engine")}

    def run(*arguments: str, stdin: bytes | str | None = None) -> Result:
        return CliRunner(env=folder.environ).invoke(app, arguments, input=stdin)

    yield run
    forget_logging()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
