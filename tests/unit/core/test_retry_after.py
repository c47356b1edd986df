"""How long a server asks to wait (RFC 9110 §10.2.3)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.core.retry_after import parse_retry_after

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)
LONGEST = timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 5000, 3600),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 30),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
        ("Sun Nov  6 08:49:37 1994", 30),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0),
        ("Sun, 06 Nov 1993 08:49:37 GMT", 0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", 3600),
    ],
)
def test_seconds_and_dates_are_understood_and_capped(value: str, seconds: int) -> None:
    assert parse_retry_after(value, NOW, LONGEST) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", "-1", "+1", "1.5", "1e3", "soon", "١٢", "12 seconds", "0x10"),
        *("Sun, 36 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994", "Sun, 06 Nov 99999 0:0:0 GMT"),
    ],
)
def test_what_is_neither_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value, NOW, LONGEST) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{1,6} [\d:]{0,9} [+-]?\d*"))
def test_no_header_breaks_it_or_makes_anybody_wait_for_longer(value: str) -> None:
    found = parse_retry_after(value, NOW, LONGEST)
    assert found is None or timedelta() <= found <= LONGEST


@given(st.integers(-10_000, 10_000))
def test_a_date_is_the_time_until_it(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    expected = timedelta(seconds=min(max(seconds, 0), 3600))
    assert parse_retry_after(date, NOW, LONGEST) == expected
