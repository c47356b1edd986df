"""What an operator gets to read where a command has failed."""

from tests.unit.cli.conftest import Done


def refusal(done: Done) -> str:
    """The one line on stderr, without its level; nothing is on stdout, and the exit code is 1."""
    assert (done.code, done.out) == (1, ""), done
    (line,) = done.err.splitlines()
    assert line.startswith("CRITICAL: "), line
    return line.removeprefix("CRITICAL: ")
