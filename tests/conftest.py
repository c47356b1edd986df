from collections.abc import Callable
from pathlib import Path

import pytest

from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import Settings

type MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of the embedded set in a folder of the test's own; keyword arguments override."""

    def make(**overrides: object) -> Settings:
        values: dict[str, object] = {
            "APP_ENV": "test",
            "DATA_DIR": tmp_path / "var",
            "DB_TYPE": "sqlite",
            "REDIS_MODE": "embedded",
            "JOBS_BACKEND": "embedded",
            "SNOWFLAKE_NODE_ID": 1,
            "AES_SECRET": generate_key(),
            "JWT_SECRET": generate_jwt_secret(),
        }
        return Settings.model_validate({**values, **overrides})

    return make


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that serves in production."""
    return "asyncio", {"use_uvloop": True}
