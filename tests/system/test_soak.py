"""Half a minute of requests of all sorts: no error, and nothing that grows by each of them."""

import asyncio
from pathlib import Path

from tests.benchmarks.load import request, send_at_rate
from tests.benchmarks.processes import open_files, resident_mib
from tests.servers import HOST
from tests.system.serving import Serving

SECONDS = 30
PER_SECOND = 150  # a slow machine's, too
WARM_SECONDS = 5
REQUESTS = (
    request("GET", "/livez"),
    request("POST", "/people", '{"name":"Ada"}'),
    request("POST", "/people", "{"),
    request("POST", "/people", '{"name":""}'),
    request("GET", "/database"),
    request("GET", "/redis"),
    request("GET", "/v1/jobs"),
    request("GET", "/v1/jobs", "", "Authorization: Bearer nobody"),
    request("GET", "/no/such/path"),
    request("DELETE", "/livez"),
)
# Of both pools, DB_POOL_SIZE + DB_MAX_OVERFLOW + REDIS_POOL_SIZE: they may still fill up.
MOST_CONNECTIONS = 10 + 20 + 20
# A KiB that each request left behind would be more.
MAX_GROWTH_MIB = 4.0


def test_half_a_minute_of_requests_leaves_nothing_behind(
    some_servers: dict[str, str], tmp_path: Path
) -> None:
    # Without the scheduler, whose first job loads Celery at any time.
    alone = {"APP_ENV": "test", "SCHEDULER_ENABLED": "false"}
    settings = {**alone, "RATE_LIMIT_DEFAULT": "1000000000/minute", **some_servers}
    with Serving(tmp_path, settings, with_routes=True) as serving:
        pid = serving.process.pid

        def send(seconds: float) -> set[int]:
            return set(asyncio.run(_send(serving.port, seconds)))

        send(WARM_SECONDS)
        files, memory = open_files(pid), resident_mib(pid)

        statuses = send(SECONDS)

        assert statuses == {200, 400, 401, 404, 405, 422}
        assert open_files(pid) - files <= MOST_CONNECTIONS
        growth = resident_mib(pid) - memory
        assert growth < MAX_GROWTH_MIB


async def _send(port: int, seconds: float) -> list[int]:
    sent = await send_at_rate(HOST, port, REQUESTS, PER_SECOND, seconds)
    return list(sent.statuses)
