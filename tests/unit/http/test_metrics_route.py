"""`/metrics`, and what the frame counts."""

import pytest

from tests.conftest import MakeSettings
from tests.servers import free_port
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, Lines, serving

pytestmark = pytest.mark.anyio

FORGED = '"}\nforged_total{a="'


async def test_a_scraper_reads_what_has_happened(make_settings: MakeSettings, lines: Lines) -> None:
    async with serving(make_settings(), every_way()) as served:
        await served.http.get("/accounts/17?token=s3cret")
        await served.http.get("/crash")
        reply = await served.http.get("/metrics")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        for line in (
            'http_requests_total{method="GET",route="/accounts/{account_id}",status="200"} 1',
            'http_requests_total{method="GET",route="/crash",status="500"} 1',
            "http_requests_in_flight{} 1",
            "db_pool_size{} 10",
            'redis_commands_total{command="PING"} 1',
        ):
            assert line in reply.text.splitlines()
        assert "s3cret" not in reply.text
        assert lines.at("CRITICAL") == []


async def test_openmetrics_links_to_the_trace(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        trace_id = (await served.http.get("/ok")).headers["x-trace-id"]
        accept = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"}
        reply = await served.http.get("/metrics", headers=accept)
        assert reply.headers["content-type"].startswith("application/openmetrics-text")
        assert f'# {{trace_id="{trace_id}"}}' in reply.text
        assert (await served.http.head("/metrics")).status_code == 200


async def test_ten_thousand_unknown_paths_and_strange_methods_are_a_handful_of_lines(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(LOG_LEVEL="ERROR"), every_way()) as served:
        for number in range(10_000):
            await Exchange(path=f"/{number}{FORGED}").run(served.app)
        for method in (FORGED, "", "\ud800", "BREW"):
            await Exchange(method=method, path="/ok").run(served.app)
            await Exchange(method=method, path="/nope").run(served.app)
        text = (await served.http.get("/metrics")).text
        assert 'http_requests_total{method="GET",route="unmatched",status="404"} 10000' in text
        assert 'http_requests_total{method="other",route="/ok",status="405"} 4' in text
        assert "forged" not in text
        assert text.count("http_requests_total{") < 6


async def test_what_ends_without_a_reply_is_counted_and_not_in_flight_any_more(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(), every_way()) as served:
        await Exchange("POST", "/raw", leaves=True).run(served.app)
        text = (await served.http.get("/metrics")).text
        assert "http_requests_in_flight{} 1" in text
        assert 'route="/raw",status="499"' in text


@pytest.mark.parametrize(
    "overrides", [{"METRICS_ENABLED": False}, {"METRICS_PORT": free_port()}], ids=["off", "port"]
)
async def test_there_is_no_route_where_metrics_are_off_or_have_their_own_port(
    make_settings: MakeSettings, overrides: dict[str, object]
) -> None:
    async with serving(make_settings(**overrides), every_way()) as served:
        assert (await served.http.get("/metrics")).status_code == 404


async def test_two_apps_of_one_process_count_for_themselves(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as one:
        for _ in range(3):
            await one.http.get("/ok")
        first = (await one.http.get("/metrics")).text
    async with serving(make_settings(), every_way()) as other:
        second = (await other.http.get("/metrics")).text
    assert 'route="/ok",status="200"} 3' in first
    assert 'route="/ok"' not in second
