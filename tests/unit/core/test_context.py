"""Trace ids where no request is: what the HTTP tests cannot reach."""

import asyncio
import re
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.core.clock import utc_now
from internal.core.context import (
    RemoteParent,
    current_trace_id,
    incoming_trace_id,
    new_trace_id,
    parse_traceparent,
    set_trace_id,
)

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_outside_of_any_work_there_is_none() -> None:
    assert current_trace_id() == ""


@pytest.mark.anyio
async def test_each_task_has_its_own_and_hands_it_to_the_tasks_it_starts() -> None:
    async def work(trace_id: str) -> list[str]:
        set_trace_id(trace_id)
        await asyncio.sleep(0)
        child = asyncio.create_task(asyncio.to_thread(current_trace_id))
        return [current_trace_id(), await child]

    found = await asyncio.gather(work("a"), work("b"))
    assert list(found) == [["a", "a"], ["b", "b"]]
    assert current_trace_id() == ""


def test_new_ones_are_32_hex_digits_and_differ() -> None:
    made = {new_trace_id() for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(re.fullmatch("[0-9a-f]{32}", trace_id) for trace_id in made)


@given(st.text(), st.text())
def test_whatever_a_client_sends_the_trace_id_is_32_hex_digits(
    x_trace_id: str, traceparent: str
) -> None:
    assert re.fullmatch("[0-9a-f]{32}", incoming_trace_id(x_trace_id, traceparent))


@given(st.from_regex(r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_any_valid_traceparent_is_taken(traceparent: str) -> None:
    trace_id = traceparent.split("-")[1]
    expected = trace_id if trace_id != "0" * 32 else None
    taken = incoming_trace_id(None, traceparent)
    assert (taken == trace_id) == (expected is not None)


@pytest.mark.parametrize(
    ("traceparent", "parent"),
    [
        (f"00-{GIVEN}-00f067aa0ba902b7-01", RemoteParent(GIVEN, "00f067aa0ba902b7", True)),
        (f"00-{GIVEN}-00f067aa0ba902b7-00", RemoteParent(GIVEN, "00f067aa0ba902b7", False)),
        (f"00-{GIVEN}-00f067aa0ba902b7-02", RemoteParent(GIVEN, "00f067aa0ba902b7", False)),
        (f"cc-{GIVEN}-00f067aa0ba902b7-03-x", RemoteParent(GIVEN, "00f067aa0ba902b7", True)),
        (f"ff-{GIVEN}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{GIVEN}-{'0' * 16}-01", None),
        (f"00-{GIVEN.upper()}-00f067aa0ba902b7-01", None),
        (f" 00-{GIVEN}-00f067aa0ba902b7-01", None),
        ("", None),
    ],
)
def test_a_parent_is_one_that_w3c_calls_valid(
    traceparent: str, parent: RemoteParent | None
) -> None:
    assert parse_traceparent(traceparent) == parent


@pytest.mark.parametrize(
    "lookalike", ["４" * 32, "٣" * 32, f"{GIVEN}\n", f" {GIVEN}", GIVEN.replace("4", "\u0664")]
)
def test_a_digit_of_another_script_is_none(lookalike: str) -> None:
    assert incoming_trace_id(lookalike, f"00-{lookalike}-00f067aa0ba902b7-01") != lookalike


def test_now_is_aware_and_utc() -> None:
    assert utc_now().tzinfo is UTC
    assert utc_now().utcoffset() == timedelta(0)
