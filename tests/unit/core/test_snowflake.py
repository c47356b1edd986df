"""Contract §6: 41 bits of milliseconds since 2024, 10 of node, 12 of sequence; never twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.core.snowflake import (
    EPOCH,
    MAX_AHEAD_MS,
    MAX_MS,
    MAX_NODE,
    MAX_SEQUENCE,
    IdsUnavailable,
    Snowflake,
    SnowflakeParts,
    compose,
    decompose,
    wall_clock_ms,
)

PARTS = st.builds(
    SnowflakeParts,
    st.integers(0, 2**41 - 1),
    st.integers(0, 2**10 - 1),
    st.integers(0, 2**12 - 1),
)


class Clock:
    """A wall clock that a test sets, in milliseconds since the epoch of ids."""

    def __init__(self, now: int = 1_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@given(PARTS)
def test_an_id_has_63_bits_and_comes_apart_as_it_was_put_together(parts: SnowflakeParts) -> None:
    snowflake = compose(parts)
    assert 0 <= snowflake < 2**63
    assert decompose(snowflake) == parts
    assert f"{snowflake:063b}" == f"{parts.ms:041b}{parts.node:010b}{parts.sequence:012b}"


@given(PARTS, PARTS)
def test_ids_sort_by_time_first(one: SnowflakeParts, other: SnowflakeParts) -> None:
    assert (compose(one) < compose(other)) == (one < other)


def test_time_counts_from_2024() -> None:
    assert datetime(2024, 1, 1, tzinfo=UTC) == EPOCH
    parts = decompose(Snowflake(5, lambda: 86_400_000).next_id())
    assert parts == SnowflakeParts(86_400_000, 5, 0)
    assert parts.time == datetime(2024, 1, 2, tzinfo=UTC)
    assert abs(EPOCH + timedelta(milliseconds=wall_clock_ms()) - datetime.now(UTC)) < timedelta(
        minutes=1
    )


@given(st.lists(st.integers(-2000, 2000), min_size=1, max_size=50), st.integers(0, MAX_NODE))
def test_ids_grow_under_any_clock_and_never_run_more_than_a_second_ahead(
    steps: list[int], node: int
) -> None:
    clock = Clock()
    generator = Snowflake(node, clock)
    given_out: list[int] = []
    for step in steps:
        clock.now = max(0, clock.now + step)
        ahead = decompose(given_out[-1]).ms - clock.now if given_out else 0
        if ahead > MAX_AHEAD_MS:
            with pytest.raises(IdsUnavailable, match=f"ids are {ahead} ms ahead"):
                generator.next_id()
        else:
            given_out.append(generator.next_id())
            assert decompose(given_out[-1]).ms == max(clock.now, clock.now + ahead)
    assert all(earlier < later for earlier, later in pairwise(given_out))
    assert {decompose(snowflake).node for snowflake in given_out} == {node}


def test_a_full_sequence_borrows_the_next_millisecond() -> None:
    clock = Clock(now=7)
    generator = Snowflake(0, clock)
    parts = [decompose(generator.next_id()) for _ in range(MAX_SEQUENCE + 3)]
    assert parts[MAX_SEQUENCE] == SnowflakeParts(7, 0, MAX_SEQUENCE)
    assert parts[MAX_SEQUENCE + 1 :] == [SnowflakeParts(8, 0, 0), SnowflakeParts(8, 0, 1)]
    clock.now = 8
    assert decompose(generator.next_id()) == SnowflakeParts(8, 0, 2)
    clock.now = 9
    assert decompose(generator.next_id()) == SnowflakeParts(9, 0, 0)


def test_more_than_a_second_ahead_of_the_clock_raises_and_recovers_without_a_repeat() -> None:
    clock = Clock()
    generator = Snowflake(0, clock)
    given_out = [generator.next_id()]
    clock.now -= MAX_AHEAD_MS
    given_out.append(generator.next_id())
    clock.now -= 1
    for _ in range(3):
        with pytest.raises(IdsUnavailable, match="1001 ms ahead of the wall clock"):
            generator.next_id()
    clock.now += 1
    given_out.append(generator.next_id())
    assert [decompose(snowflake).sequence for snowflake in given_out] == [0, 1, 2]


def test_borrowing_stops_a_second_ahead_too() -> None:
    clock = Clock()
    generator = Snowflake(0, clock)
    generator._ms, generator._sequence = clock.now + MAX_AHEAD_MS, MAX_SEQUENCE - 1
    assert decompose(generator.next_id()).sequence == MAX_SEQUENCE
    with pytest.raises(IdsUnavailable):
        generator.next_id()


@pytest.mark.parametrize("now", [-1, -500, -(10**12), MAX_MS + 1])
def test_a_clock_outside_of_41_bits_gives_no_id(now: int) -> None:
    generator = Snowflake(0, lambda: now)
    for _ in range(2):
        with pytest.raises(IdsUnavailable):
            generator.next_id()


def test_the_last_id_of_41_bits_is_given_and_none_after_it() -> None:
    generator = Snowflake(MAX_NODE, lambda: MAX_MS)
    generator._ms, generator._sequence = MAX_MS, MAX_SEQUENCE - 1
    assert generator.next_id() == 2**63 - 1
    with pytest.raises(IdsUnavailable):
        generator.next_id()


class Interrupting(int):
    """A time that lets other threads have their turn whenever it is looked at."""

    def __gt__(self, other: int) -> bool:
        time.sleep(0.001)
        return int(self) > other


def test_no_thread_gets_between_the_steps_of_another() -> None:
    generator = Snowflake(3, lambda: Interrupting(wall_clock_ms()))
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: generator.next_id(), range(200)))
    assert len(set(taken)) == 200


def test_no_id_is_given_twice_across_threads() -> None:
    generator = Snowflake(3)

    def take(_: int) -> list[int]:
        return [generator.next_id() for _ in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(16)))
    assert len({snowflake for ids in taken for snowflake in ids}) == 16 * 2000
    assert all(ids == sorted(ids) for ids in taken)


@pytest.mark.parametrize("node", [-1, 1024])
def test_a_node_has_10_bits(node: int) -> None:
    assert decompose(Snowflake(0).next_id()).node == 0
    assert decompose(Snowflake(1023).next_id()).node == 1023
    with pytest.raises(ValueError, match="a node is 0 to 1023"):
        Snowflake(node)


def test_without_a_node_there_are_no_ids() -> None:
    with pytest.raises(IdsUnavailable, match="no id node"):
        Snowflake(None).next_id()


def test_ids_start_above_the_floor_and_end_at_the_ceiling() -> None:
    clock = Clock(now=100)
    generator = Snowflake(clock=clock)
    generator.assume(3, floor_ms=100, ceiling_ms=102)
    assert decompose(generator.next_id()) == SnowflakeParts(101, 3, 0)
    clock.now = 102
    assert decompose(generator.next_id()) == SnowflakeParts(102, 3, 0)
    clock.now = 103
    with pytest.raises(IdsUnavailable, match="was not renewed"):
        generator.next_id()
    generator.extend(103)
    generator.extend(101)  # an answer that comes late lowers nothing
    assert decompose(generator.next_id()) == SnowflakeParts(103, 3, 0)


@given(st.lists(st.tuples(st.integers(0, MAX_NODE), st.integers(0, 500)), min_size=2, max_size=20))
def test_ids_grow_from_node_to_node(nodes: list[tuple[int, int]]) -> None:
    generator = Snowflake(clock=Clock(now=1000))
    given_out: list[int] = []
    for node, floor_ms in nodes:
        generator.assume(node, floor_ms=floor_ms)
        given_out += [generator.next_id() for _ in range(2)]
        assert generator.last_ms == decompose(given_out[-1]).ms
    assert all(earlier < later for earlier, later in pairwise(given_out))


@given(
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.lists(st.integers(-1500, 1500), min_size=1, max_size=50),
)
def test_under_any_clock_every_id_is_above_the_floor_and_none_above_the_ceiling(
    floor_ms: int, room_ms: int, steps: list[int]
) -> None:
    clock = Clock(now=1500)
    generator = Snowflake(clock=clock)
    generator.assume(3, floor_ms=floor_ms, ceiling_ms=floor_ms + room_ms)
    for step in steps:
        clock.now = max(0, clock.now + step)
        due = max(clock.now, generator.last_ms, floor_ms + 1)
        if due > floor_ms + room_ms or due - clock.now > MAX_AHEAD_MS:
            with pytest.raises(IdsUnavailable):
                generator.next_id()
        else:
            assert decompose(generator.next_id()).ms == due


def test_a_node_that_was_forgotten_gives_no_id() -> None:
    generator = Snowflake(3)
    generator.forget_node()
    with pytest.raises(IdsUnavailable, match="no id node"):
        generator.next_id()
