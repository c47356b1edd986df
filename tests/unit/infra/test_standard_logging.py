"""uvicorn, SQLAlchemy and all that use the standard library's logging end in the same lines."""

import logging
import warnings

import pytest
from loguru import logger
from pymysql.err import OperationalError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.core.context import set_trace_id
from internal.infra.database import create_engine, create_probe_engine
from internal.infra.logging import StandardLibraryHandler
from tests.conftest import MakeSettings
from tests.unit.infra.log import Log, logging_of


def test_a_record_becomes_an_event_with_the_name_of_its_logger(log: Log) -> None:
    set_trace_id("f" * 32)
    logging.getLogger("uvicorn.error").warning("address %s port %d", "::1", 8000)
    set_trace_id("")
    event = log.event
    assert (event["level"], event["logger"]) == ("WARNING", "uvicorn.error")
    assert event["message"] == "address ::1 port 8000"
    assert event["trace_id"] == "f" * 32


def test_levels_are_the_same_and_those_of_others_are_shown_as_they_are(log: Log) -> None:
    logging.addLevelName(25, "NOTICE")
    for level in (logging.DEBUG, logging.INFO, 25, logging.ERROR, logging.CRITICAL):
        logging.getLogger("library").log(level, "x")
    assert [event["level"] for event in log.events] == ["INFO", "Level 25", "ERROR", "CRITICAL"]


def test_an_exception_comes_along_redacted(log: Log) -> None:
    try:
        int("password=hunter2")
    except ValueError:
        logging.getLogger("library").exception("failed with token=%s", "hunter2")
    event = log.event
    assert event["level"] == "ERROR"
    assert event["message"] == "failed with token=[redacted]"
    assert "ValueError: invalid literal" in event["exception"]
    assert b"hunter2" not in log.raw.replace(b'int(\\"password=', b"")


def test_an_exception_record_without_an_exception_is_an_event_all_the_same(log: Log) -> None:
    logging.getLogger("library").error("x", exc_info=True)  # noqa: LOG014 - the very thing
    assert log.event["message"] == "x"


def test_a_connection_that_its_pool_drops_is_a_line_and_no_traceback(log: Log) -> None:
    pool = logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool")
    for error in (OperationalError(2013, "Lost connection to MySQL server"), TypeError("a bug")):
        pool.error("Exception during reset or similar", exc_info=error)
    lost, bug = log.events
    assert (lost["level"], "exception" in lost) == ("WARNING", False)
    assert "Lost connection to MySQL server" in lost["message"]
    assert (bug["level"], "exception" in bug) == ("ERROR", True)


def test_a_message_with_braces_is_no_template(log: Log) -> None:
    logging.getLogger("library").info("{} {0} {level} %%s </red>")
    logging.getLogger("library").info("%s", "{} {0} {level}")
    assert [event["message"] for event in log.events] == [
        "{} {0} {level} %%s </red>",
        "{} {0} {level}",
    ]


def handle(message: object, arguments: tuple[object, ...]) -> None:
    """By our handler alone, and not pytest's own, which raises."""
    record = logging.LogRecord("library", logging.INFO, "x.py", 1, message, arguments, None)
    StandardLibraryHandler().handle(record)


@pytest.mark.parametrize("arguments", [("%d", "x"), ("%s %s", 1), ("%(a)s", {"b": 1})])
def test_arguments_that_do_not_fit_neither_raise_nor_lose_the_event(
    log: Log, arguments: tuple[object, ...]
) -> None:
    template, argument = arguments
    handle(template, (argument,))
    assert str(template) in log.event["message"]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("hunter2")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("failed with %s", (UnprintableError(), 17)),
        ("failed with %(a)s", ({"a": UnprintableError(), "token": "hunter2"},)),
        (UnprintableError(), ()),
    ],
)
def test_what_cannot_be_printed_neither_raises_nor_costs_the_event(
    log: Log, message: object, arguments: tuple[object, ...]
) -> None:
    handle(message, arguments)
    assert "that cannot be printed]" in log.event["message"]
    assert b"hunter2" not in log.raw


def test_a_librarys_own_handler_does_not_stand_in_the_way(
    make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.basicConfig(handlers=[logging.StreamHandler()], force=True)
    with logging_of(make_settings()) as log:
        logging.getLogger("library").info("x")
    assert log.event["message"] == "x"
    assert capsys.readouterr().err == ""


def test_a_warning_of_python_is_an_event(make_settings: MakeSettings) -> None:
    with logging_of(make_settings()) as log, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert log.event["logger"] == "py.warnings"
    assert "DeprecationWarning: old ways" in log.event["message"]


def test_installing_twice_writes_each_event_once(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with logging_of(settings), logging_of(settings) as log:
        logger.info("x")
        logging.getLogger("library").info("y")
    assert [event["message"] for event in log.events] == ["x", "y"]


async def select(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT :value"), {"value": "hunter2"})
    await engine.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize(("debug", "shown"), [(True, True), (False, False)])
async def test_sql_is_in_the_log_with_debug_and_never_its_values(
    make_settings: MakeSettings, debug: bool, shown: bool
) -> None:
    settings = make_settings(DEBUG=debug, LOG_LEVEL="DEBUG")
    with logging_of(settings) as log:
        set_trace_id("f" * 32)
        await select(create_engine(settings))
        set_trace_id("")
    assert (b"SELECT ?" in log.raw) == shown
    assert b"hunter2" not in log.raw


@pytest.mark.anyio
async def test_the_backgrounds_sql_of_every_second_is_not_in_the_log(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(DEBUG=True, LOG_LEVEL="DEBUG")
    with logging_of(settings) as log:
        await select(create_engine(settings))
        logging.getLogger("sqlalchemy.engine.Engine").warning("a warning is")
    assert [event["message"] for event in log.events] == ["a warning is"]


@pytest.mark.anyio
async def test_the_probes_own_statements_are_never_in_the_log(make_settings: MakeSettings) -> None:
    settings = make_settings(DEBUG=True, LOG_LEVEL="DEBUG")
    with logging_of(settings) as log:
        await select(create_probe_engine(settings, timeout=1))
    assert b"SELECT" not in log.raw
