"""What becomes of stdout, or of LOG_DIR, does not become of the service."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import pytest

from internal.infra.line_log import LOST
from tests.system.scraping import figure
from tests.system.serving import EMBEDDED, Serving

PIPELINED = 1000
# What a log holds back, twice, in lines of some 220 bytes, and some more.
REQUESTS = 50 * PIPELINED


class Piped(Serving):
    """Its stdout is a pipe, whose reader the test is."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        super().__init__(folder, settings)
        os.mkfifo(folder / "out")
        self.reading = os.open(folder / "out", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self.reading, True)
        self.received = b""

    @property
    def log(self) -> str:
        return self.received.decode()

    def read(self) -> None:
        """To the end."""
        while data := os.read(self.reading, 1 << 16):
            self.received += data

    def answer_many(self) -> None:
        """Requests that come one after the other without a wait between."""
        with self.connect() as connection:
            for _ in range(REQUESTS // PIPELINED):
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * PIPELINED)
                replies = b""
                while replies.count(b"HTTP/1.1 200") < PIPELINED or not replies.endswith(b"}"):
                    replies += connection.recv(1 << 20)


@contextmanager
def piped(folder: Path, **settings: object) -> Generator[Piped]:
    service = Piped(folder, {**EMBEDDED, **settings})
    with service.ending():
        service.start()
        service.wait_for(lambda: service.status("/readyz") == 200)
        yield service


def test_a_reader_that_stands_still_costs_lines_which_are_counted_and_nothing_else(
    tmp_path: Path,
) -> None:
    with piped(tmp_path) as service:
        service.answer_many()
        assert service.status("/livez") == 200
        dropped = figure(service.http.get("/metrics").text, "log_lines_dropped_total")
        assert dropped > 0
        reader = threading.Thread(target=service.read)
        reader.start()
        service.wait_for(lambda: LOST in service.log)
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
        reader.join()
        os.close(service.reading)
    told = [line["dropped"] for line in service.lines if line["message"] == LOST]
    assert sum(told) >= dropped
    assert service.lines[-1]["message"].startswith("Finished server process")


def test_a_stop_does_not_wait_for_a_reader_that_stands_still(tmp_path: Path) -> None:
    with piped(tmp_path) as service:
        service.answer_many()
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
        os.close(service.reading)
    assert service.errors == ""


def test_a_reader_that_has_gone_stops_nothing(tmp_path: Path) -> None:
    with piped(tmp_path) as service:
        os.close(service.reading)
        for _ in range(10):
            assert service.status("/livez") == 200
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
    assert service.errors == ""


def test_a_stdout_that_was_closed_before_the_start_leaves_the_files(tmp_path: Path) -> None:
    service = Serving(tmp_path, {**EMBEDDED, "LOG_DIR": tmp_path / "logs"})
    service._command = ["sh", "-c", 'exec "$@" >&-', "sh", *service._command]
    with service.ending():
        service.start()
        service.wait_for(lambda: service.status("/readyz") == 200)
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
    (file,) = (tmp_path / "logs").iterdir()
    assert '"message":"stopping"' in file.read_text()
    assert (service.log, service.errors) == ("", "")


@pytest.mark.parametrize("workers", [1, 2])
def test_each_process_has_a_file_of_its_own_with_its_last_line(
    tmp_path: Path, workers: int, some_servers: dict[str, str]
) -> None:
    settings = EMBEDDED if workers == 1 else some_servers
    settings = {**settings, "WORKERS": workers, "LOG_DIR": tmp_path / "logs"}
    with Serving(tmp_path, settings) as service:
        service.send(Signals.SIGTERM)
        assert service.wait_for_exit() == 0
    files = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    assert len([text for text in files if "Finished server process" in text]) == workers
    assert sorted("".join(files).splitlines()) == sorted(service.log.splitlines())
