import asyncio
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

from tests.collector import Collector, Sent, collecting
from tests.security.accounts import Replica
from tests.security.conftest import (  # noqa: F401 - a service with accounts is here what it is there
    Serve,
    fast_bcrypt,
    populated,
    serve,
)

type Spans = Callable[[Callable[[Collector], bool]], "asyncio.Future[list[Sent]]"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    """One that is sent spans at once."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with collecting() as collector:
        yield collector


@pytest.fixture
async def traced(
    serve: Serve,  # noqa: F811 - the fixture
    collector: Collector,
) -> AsyncGenerator[Replica]:
    networks = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    async with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **networks) as service:
        yield service


@pytest.fixture
def spans(collector: Collector) -> Spans:
    """Waits beside the loop for what the collector is sent."""
    return lambda condition: asyncio.ensure_future(asyncio.to_thread(collector.wait, condition))
