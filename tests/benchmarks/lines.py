"""Lines of log a second, and Loguru's own JSON beside them."""

import os
import statistics
import time
from collections.abc import Callable

from loguru import logger

from internal.infra.line_log import LineLog
from internal.infra.logging import Sink
from internal.middlewares.access_log import Access
from tests.benchmarks.table import Row

_log = logger.bind(logger="bench", kind="audit.export")

LINES = 20_000
FLUSH_EVERY = 5_000
ROUNDS = 5
REQUEST = ("0" * 32, "GET", "/hello", 200, 0.001, 120, "192.0.2.1")


def measure() -> list[Row]:
    """In turns, all of them to a file that keeps nothing. Ours count as written by the thread."""
    with open(os.devnull, "wb", buffering=0) as nowhere, open(os.devnull, "w") as text:  # noqa: PTH123
        lines = LineLog(nowhere, "json", None)
        ways: dict[str, Callable[[], None]] = {
            "access": lambda: lines.write(Access(time.time(), *REQUEST)),
            "ours": lambda: _log.info("job {} ended", 7),
        }
        rates: dict[str, list[float]] = {"access": [], "ours": [], "loguru": []}
        for _ in range(ROUNDS):
            rates["access"].append(_rate(ways["access"], lines.flush))
            logger.remove()
            logger.add(Sink(lines), format=lambda _: "", diagnose=False)
            rates["ours"].append(_rate(ways["ours"], lines.flush))
            logger.remove()
            logger.add(text, serialize=True, diagnose=False)
            rates["loguru"].append(_rate(ways["ours"], text.flush))
        logger.remove()
        lines.close()
    access, ours, loguru = (statistics.median(rates[way]) for way in ("access", "ours", "loguru"))
    against = f"Loguru, serialize=True: {loguru:.0f}"
    return [
        Row("lines of the access log", f"{access:.0f} lines/s", against, "", access / loguru),
        Row("lines of anything else", f"{ours:.0f} lines/s", against, "", ours / loguru),
    ]


def _rate(write: Callable[[], None], flush: Callable[[], None]) -> float:
    started = time.perf_counter()
    for number in range(LINES):
        write()
        if number % FLUSH_EVERY == 0:
            flush()  # none may be left out because too many wait
    flush()
    return LINES / (time.perf_counter() - started)
