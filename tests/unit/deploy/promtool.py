"""Prometheus' own tool, which reads its files and plays series to its rules."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from internal.infra.metrics import FAMILIES
from tests.servers import ServerMissing

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yaml"

_NAME = re.compile(r"\b[a-z_]+(?::\w+)+|\b[a-z]+(?:_[a-z]+)+\b(?!\s*\()|\bup\b")


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in PromQL; those of labels have no underscore here."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', "", expression))) - {"group_left"}


def told() -> set[str]:
    """The metrics that the service tells, as Prometheus stores them."""
    parts = ("bucket", "count", "sum")
    return {
        name
        for family in FAMILIES.values()
        for name in ([f"{family.name}_{p}" for p in parts] if family.bounds else [family.name])
    }


def run_promtool(*arguments: str | Path) -> None:
    """Fails with what it says; skips where it is not installed."""
    binary = shutil.which("promtool")
    if binary is None:
        missing = "promtool (prometheus) is not installed: tests that need it do not run"
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail(missing, pytrace=False)
        raise ServerMissing(missing)
    command = [binary, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
