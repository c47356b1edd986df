"""One event, one line, whatever the event holds."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from internal.core.context import set_trace_id
from internal.infra.log_format import as_text, encode_json, timestamp
from internal.infra.logging import REDACTED
from tests.conftest import MakeSettings
from tests.unit.infra.log import Log, logging_of

if TYPE_CHECKING:
    from loguru import Logger

HOSTILE = (
    "\r\n2026-01-01T00:00:00.000000Z CRITICAL auth | forged\n\x1b[2J\x00\x07\x7f\x85\x9b"
    "\u2028\u2029\x0b\x0c\x1c\x1d\x1e\ud800 {level} {0} %s </red>"
)
# Everything that some reader takes for the end of a line or for a command.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def test_an_event_has_the_contracts_fields_and_then_its_own(log: Log) -> None:
    set_trace_id("f" * 32)
    logger.bind(logger="orders", order=17, ratio=0.5, paid=True, note=None).info("order {}", 17)
    set_trace_id("")
    event = log.event
    assert list(event) == [
        *("time", "level", "message", "logger", "trace_id", "order", "ratio", "paid", "note")
    ]
    assert event["level"] == "INFO"
    assert event["message"] == "order 17"
    assert event["logger"] == "orders"
    assert event["trace_id"] == "f" * 32
    assert (event["order"], event["ratio"], event["paid"], event["note"]) == (17, 0.5, True, None)
    moment = datetime.fromisoformat(event["time"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_a_field_of_its_own_does_not_take_the_place_of_a_contracts_one(log: Log) -> None:
    set_trace_id("f" * 32)
    bound = {"time": 1, "level": "x", "message": ["x"], "trace_id": 7, "exception": "none"}
    logger.bind(logger="orders", **bound).info("order 17")
    set_trace_id("")
    event = log.event
    assert {key: event[f"extra_{key}"] for key in bound} == bound
    assert (event["level"], event["message"], event["logger"]) == ("INFO", "order 17", "orders")
    assert event["trace_id"] == "f" * 32
    assert datetime.fromisoformat(event["time"]).tzinfo
    assert "exception" not in event


def test_outside_of_a_request_a_trace_id_may_be_bound(log: Log) -> None:
    logger.bind(trace_id="e" * 32).info("a request that is none")
    assert log.event["trace_id"] == "e" * 32


def test_an_event_without_a_logger_is_named_by_its_module(log: Log) -> None:
    logger.info("x")
    assert log.event["logger"] == __name__
    assert log.event["trace_id"] == ""


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("INFO", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("ERROR", ["ERROR", "CRITICAL"]),
    ],
)
def test_what_is_below_the_level_is_not_logged(
    make_settings: MakeSettings, level: str, shown: list[str]
) -> None:
    with logging_of(make_settings(LOG_LEVEL=level)) as log:
        for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
            logger.log(name, "x")
    assert [event["level"] for event in log.events] == shown


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_value_forges_a_line_or_sends_a_terminal_a_command(
    make_settings: MakeSettings, log_format: str
) -> None:
    with logging_of(make_settings(LOG_FORMAT=log_format)) as log:
        logger.bind(logger="x", value=HOSTILE, items=[HOSTILE], deep={HOSTILE: HOSTILE}).info(
            "{}", HOSTILE
        )
    assert log.raw.count(b"\n") == 1
    assert log.raw.endswith(b"\n")
    assert not CONTROL.search(log.raw.decode().removesuffix("\n"))
    if log_format == "json":
        assert log.event["message"] == HOSTILE
        assert log.event["value"] == HOSTILE


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_is_one_line_of_json_and_one_of_text(message: str, value: str) -> None:
    fields = {"time": "t", "level": "INFO", "logger": "x", "message": message, "value": value}
    line = encode_json(fields)
    assert json.loads(line) == fields
    for written in (line, as_text(fields)):
        assert written.endswith(b"\n")
        assert not CONTROL.search(written.decode().removesuffix("\n"))


def test_a_message_is_no_template_for_what_it_holds(log: Log) -> None:
    logger.info("{} {}", "{level} {0.__class__}", "%(name)s")
    assert log.event["message"] == "{level} {0.__class__} %(name)s"


def fail() -> None:
    raise RuntimeError(HOSTILE)


def fail_and_log(log: "Logger") -> None:
    try:
        fail()
    except RuntimeError:
        log.exception("went wrong")


def test_an_exception_is_a_field_of_its_event(log: Log) -> None:
    fail_and_log(logger)
    assert log.event["message"] == "went wrong"
    assert log.event["exception"].startswith("Traceback (most recent call last):\n")
    assert "RuntimeError: " in log.event["exception"]


def test_in_text_an_exceptions_lines_are_indented_so_that_none_looks_like_an_event(
    make_settings: MakeSettings,
) -> None:
    with logging_of(make_settings(LOG_FORMAT="text")) as log:
        fail_and_log(logger.bind(logger="x"))
    first, *rest = log.raw.decode().removesuffix("\n").split("\n")
    assert re.fullmatch(r"\S+Z ERROR    x \| went wrong", first)
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and not CONTROL.search(line) for line in rest)


def test_text_is_for_people(make_settings: MakeSettings) -> None:
    with logging_of(make_settings(LOG_FORMAT="text")) as log:
        logger.bind(logger="orders", order=17, note="", nothing=None).warning("late")
        set_trace_id("f" * 32)
        logger.bind(logger="orders").info("中文")
        set_trace_id("")
    first, second = log.raw.decode().splitlines()
    assert re.fullmatch(r"\S+Z WARNING  orders \| late order=17", first)
    assert re.fullmatch(rf"\S+Z INFO     orders \| 中文 trace_id={'f' * 32}", second)


def test_json_holds_what_is_no_json(log: Log) -> None:
    logger.bind(
        path=Path("/tmp"),
        moment=datetime(2024, 1, 1, tzinfo=UTC),
        nan=float("nan"),
        infinite=[float("-inf")],
        items={1, 2},
        keys={1: "one", None: "none"},
        data=b"\xff\n",
        error=ValueError("x"),
    ).info("x")
    event = json.loads(log.raw, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert event["path"] == "/tmp"
    assert event["moment"] == "2024-01-01 00:00:00+00:00"
    assert (event["nan"], event["infinite"]) == ("nan", ["-inf"])
    assert event["items"] == [1, 2]
    assert event["keys"] == {"1": "one", "None": "none"}
    assert event["data"] == r"b'\xff\n'"
    assert event["error"] == "x"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("hunter2")


def in_itself() -> list[object]:
    around: list[object] = ["hunter2"]
    around.append(around)
    return around


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Unprintable(), "Unprintable"),
        ({"a": [Unprintable()]}, "dict"),
        ({Unprintable(): 1}, "dict"),
        (in_itself(), "list"),
        (10**5000, "int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_cannot_be_printed_is_told_by_its_class_and_costs_nothing_else(
    log: Log, capfd: pytest.CaptureFixture[str], value: object, name: str
) -> None:
    bound = {"value": value, "password": Unprintable(), "token": "hunter2", "order": 17}
    logger.bind(logger="orders", **bound).info("token=hunter2")
    event = log.event
    assert event["message"] == "token=[redacted]"
    assert event["value"] == f"[{name} that cannot be printed]"
    assert (event["password"], event["token"], event["order"]) == (REDACTED, REDACTED, 17)
    assert b"hunter2" not in log.raw
    assert capfd.readouterr().err == ""


def test_a_logger_and_a_trace_id_are_texts_whatever_is_bound(log: Log) -> None:
    for odd in (Unprintable(), 7):
        logger.bind(logger=odd, trace_id=odd).warning("x")
    texts = ["[Unprintable that cannot be printed]", "7"]
    assert [event["logger"] for event in log.events] == texts
    assert [event["trace_id"] for event in log.events] == texts


def test_an_exception_that_cannot_be_printed_is_logged_with_its_traceback(
    log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("hunter2")

    logger.opt(exception=UnprintableError()).error("went wrong")
    assert "UnprintableError: <exception str() failed>" in log.event["exception"]
    assert capfd.readouterr().err == ""


@given(st.floats(0, datetime(9000, 1, 1, tzinfo=UTC).timestamp()))
def test_a_timestamp_is_utc_to_the_microsecond(seconds: float) -> None:
    written = timestamp(seconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", written)
    drift = datetime.fromisoformat(written) - datetime.fromtimestamp(seconds, UTC)
    assert abs(drift) <= timedelta(microseconds=1)
