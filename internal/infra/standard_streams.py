"""Descriptors 0, 1 and 2, where whoever started the process has closed them."""

import os

LAST = 2


def open_standard_streams() -> None:
    """Opens those that are closed on `/dev/null`, for child processes too.

    The system gives the lowest free number to the next file or socket: what a child, or C, writes
    to its stdout or stderr would go there. `sys.stdout` stays None: nothing is written to it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
