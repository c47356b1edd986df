import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from fastapi import APIRouter

from internal.services.passwords import PasswordHasher
from tests.collector import Collector, Sent, collecting
from tests.security.accounts import (
    EMBEDDED,
    FAST,
    HASHER,
    Populated,
    Replica,
    own_copy,
    populate,
    replica,
    settings_of,
)

type Serve = Callable[..., AbstractAsyncContextManager[Replica]]
type Spans = Callable[[Callable[[Collector], bool]], "asyncio.Future[list[Sent]]"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    """One that is sent spans at once."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Populated:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HASHER, partial(PasswordHasher, cost=FAST))
        return populate(tmp_path_factory.mktemp("populated"), EMBEDDED)


@pytest.fixture
def serve(populated: Populated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A service with accounts; keyword arguments are settings."""
    monkeypatch.setattr(HASHER, partial(PasswordHasher, cost=FAST))
    data_dir = own_copy(populated, tmp_path / "var")

    def start(*routers: APIRouter, **overrides: object) -> AbstractAsyncContextManager[Replica]:
        return replica(populated, settings_of(populated, data_dir, **overrides), *routers)

    return start


@pytest.fixture
async def traced(serve: Serve, collector: Collector) -> AsyncGenerator[Replica]:
    networks = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    async with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **networks) as service:
        yield service


@pytest.fixture
def spans(collector: Collector) -> Spans:
    """Waits beside the loop for what the collector is sent."""
    return lambda condition: asyncio.ensure_future(asyncio.to_thread(collector.wait, condition))
