"""Ids of many processes at once: `python -m tests.system.jobs.many_ids 16 1000000`.

Nodes are few and leases short. Clocks differ by up to two seconds and are coarse, so that two
owners of one node who meet in a quarter of a second would give the same ids. Each process loses its
node again and again without giving it back, as if killed and started again; its clock steps back by
two seconds; it is frozen for longer than its lease lasts, and asks for ids right when it wakes.
"""

import asyncio
import heapq
import multiprocessing
import os
import random
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from internal.config.load_config import load_config
from internal.config.settings import Settings
from internal.core.snowflake import IdsUnavailable, Snowflake, decompose, wall_clock_ms
from internal.infra.background import running
from internal.infra.database import open_database
from internal.migrations.runner import migrate
from internal.services.id_nodes import IdNode, Terms
from internal.services.leases import Leases
from internal.services.unit_of_work import UnitOfWork
from tests import command
from tests.servers import MariaDB

SKEW_MS = 2000
TICK_MS = 250
SPARE_NODES = 4
LEASE_SECONDS = 1.5
FROZEN_SECONDS = 4.0
BATCHES = 40
PAUSE_SECONDS = 0.1
SAMPLED = 100
SPEED_IDS = 200_000


@dataclass
class Outcome:
    """What many processes have given out.

    Args:
        nodes: how many different ones were used.
        shared_nodes: those that several processes have had, one after the other.
        per_second: ids of one process that does nothing else.
    """

    ids: int
    duplicates: int
    out_of_order: int
    nodes: int
    shared_nodes: int
    per_second: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.ids} ids, {self.duplicates} duplicates, {self.out_of_order} out of order, "
            f"{self.nodes} nodes, {self.shared_nodes} of them shared, {self.seconds:.0f} s; "
            f"one process: {self.per_second:.0f} ids/s"
        )


class SkewedClock:
    """The wall clock, coarse and off by so much; it may step back."""

    def __init__(self, offset_ms: int) -> None:
        self.offset_ms = offset_ms

    def __call__(self) -> int:
        return wall_clock_ms() // TICK_MS * TICK_MS + self.offset_ms


def run(folder: Path, database: MariaDB, processes: int, count: int) -> Outcome:
    env = command.environment(folder, {**database.environment(), "REDIS_MODE": "embedded"})
    settings = load_config(env).settings
    migrate(settings)
    started = time.monotonic()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.system.jobs.many_ids"])  # imported once
    files = [folder / f"{number}.ids" for number in range(processes)]
    offsets = [number * TICK_MS % (2 * SKEW_MS) - SKEW_MS for number in range(processes)]
    terms = Terms(
        nodes=processes + SPARE_NODES,
        lasting=timedelta(seconds=LEASE_SECONDS),
        headroom=timedelta(seconds=1),
        interval=timedelta(seconds=0.3),
        retry=timedelta(seconds=0.1),
    )
    children = [
        context.Process(target=_take, args=(settings, terms, offset, count, file))
        for offset, file in zip(offsets, files, strict=True)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError(f"exit codes: {[child.exitcode for child in children]}")
    return _checked(files, time.monotonic() - started)


def _take(settings: Settings, terms: Terms, offset_ms: int, count: int, file: Path) -> None:
    asyncio.run(_take_ids(settings, terms, SkewedClock(offset_ms), count, file))


async def _take_ids(
    settings: Settings, terms: Terms, clock: SkewedClock, count: int, file: Path
) -> None:
    ids = Snowflake(clock=clock)
    taken = array("q")
    stepping, freezing = random.sample(range(BATCHES), 2)  # each at a time of its own
    async with open_database(settings) as engine:
        node = IdNode(Leases(UnitOfWork(engine, ids)), ids, terms)
        async with running(node.keep()):
            for batch in range(BATCHES):
                await asyncio.sleep(PAUSE_SECONDS)
                if batch == stepping:
                    clock.offset_ms -= SKEW_MS
                if batch == freezing:
                    time.sleep(FROZEN_SECONDS)  # noqa: ASYNC251 - all of the process stands still
                elif batch % 10 == stepping % 10:
                    node.lose()
                for _ in range(count // BATCHES):
                    taken.append(await _next_id(ids))
        await node.release()
    with file.open("wb") as written:
        taken.tofile(written)


async def _next_id(ids: Snowflake) -> int:
    while True:
        try:
            return ids.next_id()
        except IdsUnavailable:
            await asyncio.sleep(0.01)


def _checked(files: list[Path], seconds: float) -> Outcome:
    series = [_read(file) for file in files]
    node_owners = {
        (decompose(ids[at]).node, owner)
        for owner, ids in enumerate(series)
        for at in range(0, len(ids), SAMPLED)
    }
    owners = Counter(node for node, _owner in node_owners)
    duplicates = sum(one == other for one, other in pairwise(heapq.merge(*series)))
    return Outcome(
        ids=sum(map(len, series)),
        duplicates=duplicates,
        out_of_order=sum(one >= other for ids in series for one, other in pairwise(ids)),
        nodes=len(owners),
        shared_nodes=sum(count > 1 for count in owners.values()),
        per_second=_speed(),
        seconds=seconds,
    )


def _read(file: Path) -> "array[int]":
    ids = array("q")
    ids.frombytes(file.read_bytes())
    return ids


def _speed() -> float:
    """The best of a few: a machine that does other things too is not what is measured."""
    return max(_ids_per_second() for _ in range(5))


def _ids_per_second() -> float:
    ids = Snowflake(0)
    started = time.perf_counter()
    for _ in range(SPEED_IDS):
        ids.next_id()
    return SPEED_IDS / (time.perf_counter() - started)


def main() -> None:
    processes, count = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, MariaDB() as database:
        outcome = run(Path(folder), database, processes, count)
    print(outcome)
    right = outcome.ids == processes * count and not outcome.duplicates and not outcome.out_of_order
    sys.exit(os.EX_OK if right else 1)


if __name__ == "__main__":
    main()
