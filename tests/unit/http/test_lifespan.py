"""The order of start and stop, and what a failure of each step leaves behind."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from internal import lifespan
from internal.app import create_app
from internal.config.settings import Settings
from internal.core.errors import StartError
from tests.conftest import MakeSettings
from tests.unit.http.serving import Lines, forget_logging

pytestmark = pytest.mark.anyio

PARTS = ("open_database", "open_redis", "_open_health")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the parts do, as it happens: each is the real one, watched."""
    events: list[str] = []

    def watched(
        name: str, real: Callable[..., AbstractAsyncContextManager[Any]]
    ) -> Callable[..., AbstractAsyncContextManager[Any]]:
        @asynccontextmanager
        async def watch(*arguments: Any) -> AsyncGenerator[Any]:
            async with real(*arguments) as part:
                events.append(f"+{name}")
                yield part
            events.append(f"-{name}")

        return watch

    for name in PARTS:
        monkeypatch.setattr(lifespan, name, watched(name, getattr(lifespan, name)))
    return events


async def start_and_stop(settings: Settings) -> list[dict[str, Any]]:
    """Runs the lifespan as a server does; returns what the app told the server."""
    app = create_app(settings)
    told: list[dict[str, Any]] = []
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        return next(asked)

    async def send(message: Any) -> None:
        told.append(message)

    with contextlib.suppress(StartError, RuntimeError):
        try:
            await app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)
        finally:
            forget_logging()
    return told


async def test_parts_open_in_order_and_close_in_reverse(
    make_settings: MakeSettings, events: list[str], lines: Lines
) -> None:
    told = await start_and_stop(make_settings())
    assert [message["type"] for message in told] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert events == [
        *("+open_database", "+open_redis", "+_open_health"),
        *("-_open_health", "-open_redis", "-open_database"),
    ]
    steps = [line for line in lines.all if line["message"].startswith("started ")]
    assert [step["part"] for step in steps] == [
        *("database", "redis", "snowflake ids", "signature authentication"),
        *("async task manager", "scheduler", "health"),
    ]
    assert all(step["ms"] >= 0 for step in steps)
    # Of the lifespan alone: what works in the background has no tables here, and says so.
    messages = [line["message"] for line in lines.all if line["logger"] == "lifespan"]
    assert messages[messages.index("ready") :] == ["ready", "stopping"]


@pytest.mark.parametrize("failing", range(4))
@pytest.mark.parametrize(
    "error", [StartError("no such thing; mend it"), RuntimeError("not foreseen\nat all")]
)
async def test_a_step_that_fails_closes_what_was_opened_and_is_one_critical_line(
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    events: list[str],
    lines: Lines,
    failing: int,
    error: Exception,
) -> None:
    @asynccontextmanager
    async def fail(*_: Any) -> AsyncGenerator[None]:
        raise error
        yield

    def no_ids(_node_id: object) -> None:
        raise error

    step, replacement = [
        ("open_database", fail),
        ("open_redis", fail),
        ("Snowflake", no_ids),
        ("_open_health", fail),
    ][failing]
    monkeypatch.setattr(lifespan, step, replacement)
    told = await start_and_stop(make_settings())
    opened = [event[1:] for event in events if event[0] == "+"]
    closed = [event[1:] for event in events if event[0] == "-"]
    assert opened == list(PARTS[: min(failing, 2)])
    assert len(closed) == 0 or closed == opened[::-1]
    (line,) = lines.at("CRITICAL")
    assert line["message"].startswith("start failed: ")
    assert str(error) in line["message"]
    assert b"Traceback" not in lines.raw
    assert "exception" not in line
    assert told == [{"type": "lifespan.startup.failed", "message": ""}]


async def test_a_data_folder_that_cannot_be_made_is_one_critical_line(
    make_settings: MakeSettings, tmp_path: Path, lines: Lines
) -> None:
    (tmp_path / "file").write_text("in the way")
    told = await start_and_stop(make_settings(DATA_DIR=tmp_path / "file"))
    assert [message["type"] for message in told] == ["lifespan.startup.failed"]
    (line,) = lines.at("CRITICAL")
    assert str(tmp_path / "file") in line["message"]
    assert b"Traceback" not in lines.raw


async def test_the_same_app_can_start_again(make_settings: MakeSettings) -> None:
    settings = make_settings()
    for _ in range(2):
        told = await start_and_stop(settings)
        assert told[-1]["type"] == "lifespan.shutdown.complete"
