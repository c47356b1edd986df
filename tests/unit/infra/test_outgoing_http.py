"""What sending costs those who do not send. The sending itself: tests/integration."""

import subprocess
import sys


def test_a_process_that_sends_nothing_does_not_load_httpx() -> None:
    program = "import sys, internal.app, internal.lifespan; print('httpx' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
