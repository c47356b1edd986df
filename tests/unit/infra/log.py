"""Logging of this process into a stream of the test's own."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from internal.config.settings import Settings
from internal.infra.logging import create_line_log, install_logging
from tests.unit.http.serving import forget_logging


class Log:
    def __init__(self) -> None:
        self.stream = BytesIO()
        self.flush: Callable[[], None] = lambda: None

    @property
    def raw(self) -> bytes:
        self.flush()
        return self.stream.getvalue()

    @property
    def lines(self) -> list[bytes]:
        return self.raw.splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.decode("ascii").split("\n")[:-1]]

    @property
    def event(self) -> dict[str, Any]:
        (event,) = self.events
        return event


@contextmanager
def logging_of(settings: Settings) -> Generator[Log]:
    log = Log()
    lines = create_line_log(settings, log.stream)
    log.flush = lines.flush
    install_logging(lines, settings)
    try:
        yield log
    finally:
        lines.close()
        forget_logging()
