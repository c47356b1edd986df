"""SIGTERM and SIGINT where nothing else takes them: while a process starts, and at its end."""

import signal
import sys
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def exit_cleanly_on_signals() -> None:
    """Makes SIGTERM and SIGINT end the process with status 0.

    uvicorn takes the signals over while it serves, and raises them again when it has stopped:
    without this, a clean stop would look like a death by signal. And the first process of a
    container hears no signal that it has no handler for: a stop during its start would be lost.
    """
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, _exit)


def _exit(_number: int, _frame: FrameType | None) -> None:
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)  # a second one would break into the exit
    sys.exit(0)
