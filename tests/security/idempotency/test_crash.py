"""The effect and the key are one transaction: a process that dies in between leaves neither."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from internal.config.settings import Settings
from internal.migrations.runner import migrate
from internal.services.idempotency import RequestIdentity
from tests.conftest import MakeSettings
from tests.security.idempotency.opened import events, opened, stored_keys

pytestmark = pytest.mark.anyio

IDENTITY = RequestIdentity("user:1", "POST", "/v1/things?", "key", b"{}")

# Runs in a process of its own, which ends without a word at the given point.
DIES = """
import asyncio, json, os, sys
from pydantic import BaseModel
from internal.config.settings import Settings
from internal.core.caller import OPERATOR
from internal.services import audit
from tests.security.idempotency.opened import opened
from tests.security.idempotency.test_crash import IDENTITY

class Done(BaseModel):
    id: int

async def work(session):
    if sys.argv[2] == "before the effect":
        os._exit(9)
    event = await audit.record(session, OPERATOR, "thing.create", ("thing", 1))
    if sys.argv[2] == "after the effect":
        os._exit(9)
    return Done(id=event.id)

async def main():
    async with opened(Settings.model_validate(json.loads(sys.argv[1]))) as resources:
        await resources.services.idempotency.run(OPERATOR, IDENTITY, work)

asyncio.run(main())
"""


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    settings = make_settings()
    migrate(settings)
    return settings


def run_elsewhere(settings: Settings, point: str) -> int:
    values = {
        "APP_ENV": "test",
        "DATA_DIR": str(settings.data_dir),
        "DB_TYPE": "sqlite",
        "REDIS_MODE": "embedded",
        "JOBS_BACKEND": "embedded",
        "AES_SECRET": settings.aes_secret.get_secret_value(),
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
    }
    command = [sys.executable, "-c", DIES, json.dumps(values), point]
    root = Path(__file__).parents[3]
    return subprocess.run(command, cwd=root, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("point", "status", "left"),
    [("before the effect", 9, 0), ("after the effect", 9, 0), ("nowhere", 0, 1)],
)
async def test_a_process_that_dies_leaves_neither_the_effect_nor_the_key(
    settings: Settings, point: str, status: int, left: int
) -> None:
    assert run_elsewhere(settings, point) == status
    async with opened(settings) as resources:
        assert len(await events(resources)) == len(await stored_keys(resources)) == left
