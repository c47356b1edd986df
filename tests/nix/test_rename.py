"""`nix flake init --template …` and `make rename NAME=…`: a service of one's own."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.nix.scripts import load
from tests.repository import copy

ROOT = Path(__file__).parents[2]
NAME = "order-desk"
# Lines become shorter and longer, and what is sorted by name is sorted anew.
LENGTHS = ["crm", "xylophones-of-europe"]
OLD = load("rename").OLD
RUFF = Path(sys.executable).with_name("ruff")


def rename(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "rename", f"NAME={name}"]
    environment = {**os.environ, "PATH": f"{RUFF.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy(tmp_path_factory.mktemp("template"))
    result = rename(folder, NAME)
    assert result.returncode == 0, result.stderr
    # What an installation would leave: the version is asked from it.
    installed = folder / "order_desk-0.1.0.dist-info"
    installed.mkdir()
    version = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    (installed / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
    )
    return folder


def run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_old_name_is_left_nowhere_but_in_how_passwords_are_hashed(copied: Path) -> None:
    left = {
        f"{path.relative_to(copied)}: {line}"
        for path in load("rename").files(copied)
        for line in path.read_text(encoding="utf-8", errors="ignore").splitlines()
        if OLD in line.lower().replace(f"{OLD}-pw-v", "")
    }
    assert left == set()


def test_distribution_command_image_module_and_defaults_have_the_new_one(copied: Path) -> None:
    project = tomllib.loads((copied / "pyproject.toml").read_text())["project"]
    assert project["name"] == NAME
    assert project["scripts"] == {NAME: "internal.cli:main"}
    assert f'name = "{NAME}"' in (copied / "nix/image.nix").read_text()
    assert f"services.{NAME}" in (copied / "nix/module.nix").read_text()
    assert "ORDER_DESK_BUILD" in (copied / "nix/oci-config.nix").read_text()
    assert (copied / "internal").is_dir()
    assert (copied / "README.md").read_text().startswith("# OrderDesk\n")


def test_the_lock_is_one_that_uv_would_write(copied: Path) -> None:
    names = [
        package["name"] for package in tomllib.loads((copied / "uv.lock").read_text())["package"]
    ]
    assert NAME in names
    assert names == sorted(names)
    text = (copied / "uv.lock").read_text()
    assert len(re.findall(r"\n\n\[\[package\]\]\n", text)) == len(names)
    assert sorted(text.splitlines()) == sorted(
        line.replace(OLD, NAME) for line in (ROOT / "uv.lock").read_text().splitlines()
    )


def lint(folder: Path) -> None:
    run(folder, str(RUFF), "format", "--no-cache", "--check", ".")
    run(folder, str(RUFF), "check", "--no-cache", ".")


def test_it_is_clean_for_the_linter_and_the_formatter(copied: Path) -> None:
    lint(copied)


@pytest.mark.parametrize("name", LENGTHS)
def test_names_of_every_length_are_clean_for_them_too(tmp_path: Path, name: str) -> None:
    folder = copy(tmp_path)
    assert rename(folder, name).returncode == 0
    lint(folder)


def test_its_tests_pass(copied: Path) -> None:
    tests = ["tests/unit/config", "tests/unit/core", "tests/unit/test_compose.py"]
    run(copied, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def test_once_is_enough(copied: Path) -> None:
    result = rename(copied, "another")
    assert result.returncode != 0
    assert f"this is {NAME} already" in result.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("", "Orders", "orders_api", "-orders", "orders-", "2orders", "o" * 21, "redis", "tests"),
        *("order desk", "überdienst", "orders;id", "order's", "orders\n", "a--b"),
        # Words of Python and of Nix, and one that a file has already.
        *("class", "with", "inherit", "json"),
    ],
)
def test_a_name_that_cannot_be_one_changes_nothing(tmp_path: Path, name: str) -> None:
    folder = copy(tmp_path)
    before = (folder / "pyproject.toml").read_text()
    result = rename(folder, name)
    assert result.returncode != 0
    assert "usage: make rename NAME=" in result.stderr
    assert (folder / "pyproject.toml").read_text() == before
