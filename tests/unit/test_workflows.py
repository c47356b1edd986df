"""The workflows: what they run is pinned, and they may do what they must and no more."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
WRITES = {
    ("image.yaml", "release"): {"contents", "id-token", "attestations"},
    ("locks.yaml", "update"): {"contents", "pull-requests"},
}


def load(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    return workflow


def test_there_are_the_four() -> None:
    assert [path.name for path in FILES] == ["check.yaml", "image.yaml", "locks.yaml", "scan.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_its_version(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_may_be_written_but_where_it_is_said(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        permissions = job.get("permissions", {})
        assert set(permissions) == WRITES.get((path.name, name), set())
        assert set(permissions.values()) <= {"write"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_job_ends(path: Path) -> None:
    for job in load(path)["jobs"].values():
        assert job["timeout-minutes"] <= 90


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_others_write_reaches_no_shell_but_by_the_environment(path: Path) -> None:
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            inside = re.findall(r"\$\{\{\s*(.*?)\s*\}\}", step.get("run", ""))
            assert set(inside) <= {"matrix.arch"}


def test_the_checks_run_on_both_pythons_and_miss_no_server() -> None:
    job = load(ROOT / ".github/workflows/check.yaml")["jobs"]["python"]
    assert job["strategy"]["matrix"]["python"] == ["3.12", "3.13"]
    assert job["env"]["REQUIRE_SERVERS"] == "1"
    assert "make check" in [step.get("run") for step in job["steps"]]


def test_the_image_is_built_on_both_architectures() -> None:
    job = load(ROOT / ".github/workflows/image.yaml")["jobs"]["build"]
    assert {each["arch"] for each in job["strategy"]["matrix"]["include"]} == {"amd64", "arm64"}
