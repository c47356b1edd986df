"""A deployment: replicas are restarted one after the other, and no caller notices."""

import threading
from collections import Counter

import httpx

from tests.system.acceptance.conftest import SECONDS, command, run

CALLERS = 4


def call(base_url: str, stop: threading.Event, seen: Counter[str]) -> None:
    with httpx.Client(base_url=base_url, timeout=SECONDS, trust_env=False) as http:
        while not stop.is_set():
            try:
                seen[str(http.get("/version").status_code)] += 1
            except httpx.TransportError as error:
                seen[repr(error)] += 1


def test_no_request_fails_while_the_replicas_are_restarted_in_turn(base_url: str) -> None:
    lines = command("RESTART_REPLICAS").splitlines()
    assert len(lines) > 1
    stop = threading.Event()
    counts: list[Counter[str]] = [Counter() for _ in range(CALLERS)]
    callers = [threading.Thread(target=call, args=(base_url, stop, seen)) for seen in counts]
    for caller in callers:
        caller.start()
    try:
        for line in lines:
            run(line)
    finally:
        stop.set()
        for caller in callers:
            caller.join(SECONDS)
    seen = sum(counts, Counter())
    assert seen.keys() == {"200"}, seen
    assert seen["200"] > len(lines)
