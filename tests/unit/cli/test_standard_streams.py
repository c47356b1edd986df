"""A stdout that was closed before the start is no place for the first socket."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, subprocess, sys
from contextlib import suppress
from internal.cli import main

with suppress(SystemExit):
    main()
with open(sys.argv[1], "w") as said:  # the first file that is opened
    child = "import os, sys; os.write(1, b'x'); os.write(2, b'x'); sys.stdin.read()"
    subprocess.run([sys.executable, "-c", child], check=True)
    found = [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
    json.dump([found, said.fileno()], said)
"""


@pytest.mark.parametrize("closed", [(), (1,), (2,), (0, 1), (0, 1, 2)])
def test_what_is_closed_is_opened_on_nothing_for_children_too(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    said = tmp_path / "said"
    closing = " ".join(f"{number}>&-" for number in closed)
    python = [sys.executable, "-c", PROGRAM, str(said)]  # which is no verb of the command
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *python]
    done = subprocess.run(command, check=True, stdin=subprocess.PIPE, capture_output=True)
    found, first = json.loads(said.read_text())
    assert [number for number in range(3) if found[number] == "/dev/null"] == list(closed)
    assert first > 2
    assert done.stdout == (b"" if 1 in closed else b"x")
