"""Copies of the repository, for tests that change it."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy(folder: Path) -> Path:
    """The files of the repository, as a template gives them, in a new folder below."""
    return shutil.copytree(
        ROOT,
        folder / "copy",
        ignore=shutil.ignore_patterns(
            *("[.]git", ".venv", ".uv", ".*_cache", ".coverage*", ".hypothesis", "__pycache__"),
            *("var", "result*", "secrets"),
        ),
    )
