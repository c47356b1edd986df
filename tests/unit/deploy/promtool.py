"""Prometheus' own tool, which reads its files and plays series to its rules."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from internal.infra.metrics import FAMILIES
from tests.servers import ServerMissing

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yaml"

# What the service tells.
NAMES = frozenset(
    name
    for family in FAMILIES.values()
    for name in (
        [f"{family.name}_{part}" for part in ("bucket", "count", "sum")]
        if family.bounds
        else [family.name]
    )
)


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
