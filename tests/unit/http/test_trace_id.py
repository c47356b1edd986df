import re

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Lines, serving

pytestmark = pytest.mark.anyio

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Trace-ID": GIVEN}, GIVEN),
        ({"X-Trace-ID": GIVEN.upper()}, GIVEN),
        ({"traceparent": f"00-{GIVEN}-00f067aa0ba902b7-01"}, GIVEN),
        ({"traceparent": f"01-{GIVEN}-00f067aa0ba902b7-01-later"}, GIVEN),
        ({"X-Trace-ID": OTHER, "traceparent": f"00-{GIVEN}-00f067aa0ba902b7-01"}, OTHER),
        ({"X-Trace-ID": "x", "traceparent": f"00-{GIVEN}-00f067aa0ba902b7-01"}, GIVEN),
    ],
)
async def test_the_callers_trace_id_is_taken_and_echoed(
    make_settings: MakeSettings, lines: Lines, headers: dict[str, str], expected: str
) -> None:
    async with serving(make_settings(), every_way()) as served:
        for path in ("/ok", "/nope", "/crash", "/large"):
            reply = await served.http.get(path, headers=headers)
            assert reply.headers.get_list("x-trace-id") == [expected]
            assert reply.json()["trace_id"] == expected
        assert {line["trace_id"] for line in lines.access} == {expected}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Trace-ID": ""},
        {"X-Trace-ID": GIVEN[:-1]},
        {"X-Trace-ID": GIVEN + "0"},
        {"X-Trace-ID": "0" * 32},
        {"X-Trace-ID": GIVEN[:-1] + "g"},
        {"X-Trace-ID": '"},{"level":"ERROR'},
        {"traceparent": f"ff-{GIVEN}-00f067aa0ba902b7-01"},
        {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"},
        {"traceparent": f"00-{GIVEN}"},
    ],
)
async def test_anything_else_gets_a_new_trace_id(
    make_settings: MakeSettings, headers: dict[str, str]
) -> None:
    async with serving(make_settings(), every_way()) as served:
        first = (await served.http.get("/ok", headers=headers)).headers["x-trace-id"]
        second = (await served.http.get("/ok", headers=headers)).headers["x-trace-id"]
        assert re.fullmatch("[0-9a-f]{32}", first)
        assert first not in (second, GIVEN, GIVEN[:-1] + "0")


async def test_the_trace_id_is_on_what_is_logged_meanwhile_and_on_nothing_else(
    make_settings: MakeSettings, lines: Lines
) -> None:
    async with serving(make_settings(), every_way()) as served:
        await served.http.get("/crash", headers={"X-Trace-ID": GIVEN})
        assert [line["trace_id"] for line in lines.at("ERROR")] == [GIVEN]
    stopping = [line for line in lines.all if line["message"] == "stopping"]
    assert len(stopping) == 1
