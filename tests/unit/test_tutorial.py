"""docs/tutorial.md: what it says is done to a copy of the repository, whose tests then pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from internal.migrations import known_revisions
from tests.repository import ROOT, copy

BLOCK = re.compile(
    r"^`(?P<path>[\w/.]+)`, (?P<what>new|changed):\n\n```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def page() -> str:
    """The page, with numbers of revisions that follow the last one that there is."""
    last = int(known_revisions()[-1])
    text = (ROOT / "docs" / "tutorial.md").read_text()
    written = sorted(set(re.findall(r"\b\d{4}(?=_|\")", text)))  # the last one, and the page's own
    numbers = {number: f"{last + place:04}" for place, number in enumerate(written)}
    return re.sub(r"\b\d{4}(?=_|\")", lambda match: numbers[match[0]], text)


def change(text: str, diff: str) -> str:
    """The text with the lines that begin with `+` added between those around them."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        assert text.count(before) == 1, f"it is not there, or not once:\n{before}"
        text = text.replace(before, "".join(line[1:] for line in lines))
    return text


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "APP_ENV": "local"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which everything is done that the page says."""
    folder = copy(tmp_path_factory.mktemp("tutorial"))
    for block in BLOCK.finditer(page()):
        file = folder / block["path"]
        assert file.exists() == (block["what"] == "changed"), file
        file.write_text(
            block["code"] if block["what"] == "new" else change(file.read_text(), block["code"])
        )
    (folder / "docs" / "openapi.json").write_text(run(folder, "-m", "internal", "openapi"))
    return folder


def test_the_page_has_no_code_that_is_not_used() -> None:
    blocks = re.findall(r"^```(\w+)$", page(), re.MULTILINE)
    assert len([language for language in blocks if language != "console"]) == len(
        BLOCK.findall(page())
    )


def test_what_the_page_makes_passes_the_linters(followed: Path) -> None:
    run(followed, "-m", "ruff", "check", "--no-cache", ".")
    run(followed, "-m", "ruff", "format", "--no-cache", "--check", ".")
    run(followed, "-m", "mypy", *(block["path"] for block in BLOCK.finditer(page())))
    run(followed, "-c", "from importlinter.cli import lint_imports_command as lint; lint()")


def test_what_the_page_makes_migrates_the_database_here(followed: Path) -> None:
    told = run(followed, "-m", "internal", "migrate")
    (applied,) = re.findall(r"^applied: (.+)$", told, re.MULTILINE)
    assert applied.split(", ")[-2:] == [
        block["path"].rpartition("/")[2][:4]
        for block in BLOCK.finditer(page())
        if "/versions/" in block["path"]
    ]


def test_what_the_page_makes_passes_its_own_tests_and_those_of_every_route(followed: Path) -> None:
    files = (
        *("tests/security/test_notes.py", "tests/unit/migrations/test_revisions.py"),
        *("tests/security/test_authorization.py", "tests/security/test_mass_assignment.py"),
        *("tests/security/test_audit.py", "tests/unit/http/test_openapi.py"),
    )
    wanted = "notes or is_the_models or table_names or what_each_body or not_stale"
    told = run(followed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *files)
    assert int(re.findall(r"(\d+) passed", told)[0]) > 15
