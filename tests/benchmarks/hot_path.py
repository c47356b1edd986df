"""`make profile`: whose code the processor is in while trivial requests are answered.

py-spy's samples of the service under wrk, counted by the package or file of their innermost frame:
what a function calls in C (Pydantic, the system) is its own. The raw stacks stay in `FILE`, for
speedscope or a flame graph.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.processes import embedded, leave_server_core, python, running
from tests.benchmarks.wrk import Target, requests_per_second
from tests.servers import HOST, free_port

FILE = Path("var/profile.txt")
SECONDS = 20
PER_SECOND = 397  # out of step with the rhythm in which the log is written
LEAST_SHARE = 0.005
_FILE = re.compile(r"(?<=\()(\w+)/[^:]+")


def main() -> None:
    if shutil.which("py-spy") is None:
        sys.exit("missing: py-spy (uv tool install py-spy)")
    leave_server_core()
    port = free_port()
    command = python("-m", "tests.benchmarks.service")
    with (
        tempfile.TemporaryDirectory() as name,
        running(command, embedded(Path(name), port), port, "/hello") as (process, _),
    ):
        sample(process.pid, Target(f"http://{HOST}:{port}/hello"))
    counts = counted(FILE.read_text().splitlines())
    for place, count in counts.most_common():
        if (share := count / counts.total()) >= LEAST_SHARE:
            print(f"{share:6.1%}  {place}")
    print(f"\nthe stacks: {FILE}")


def sample(pid: int, target: Target) -> None:
    FILE.parent.mkdir(exist_ok=True)
    times = ("--rate", str(PER_SECOND), "--duration", str(SECONDS))
    output = ("--threads", "--format", "raw", "--output", str(FILE))
    command = ["py-spy", "record", "--pid", str(pid), *times, *output]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as sampler:
        while sampler.poll() is None:
            requests_per_second(target)
    if sampler.returncode:
        sys.exit("py-spy may not look into another process: be root, or set ptrace_scope to 0")


def counted(lines: Sequence[str]) -> Counter[str]:
    """Samples by place, of lines `frame;frame;… count`, outermost frame first."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if place := _place(stack.split(";")):
            counts[place] += int(count)
    return counts


def _place(stack: Sequence[str]) -> str | None:
    thread, innermost = stack[0], stack[-1]
    if "MainThread" not in thread:
        is_writing = "LineLog._turn" in ";".join(stack)  # and not waiting, as the others
        return "the log's thread" if is_writing else None
    if "asyncio/runners.py" in innermost:
        return "uvloop: the loop, its sockets, the parser of requests"
    found = _FILE.search(innermost)
    if found is None or found[1] in sys.stdlib_module_names:
        return "Python's own library"
    return found[0] if found[1] == "internal" else found[1]


if __name__ == "__main__":
    main()
