"""The five files of `configs/`, and the page that tells of every key."""

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from internal.config.load_config import ConfigError, load_config
from internal.config.reference import settings_reference
from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import KEYS, SECRET_FIELDS, AppEnv, Settings

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
ENV_FILES = [f".env.{name}" for name in AppEnv]
# What a deployment sets, by docs/operations.md; the other environments' files have most of it.
DEPLOYMENT = {
    "DB_HOST": "db.internal",
    "DB_USERNAME": "groundwork",
    "DB_DATABASE": "groundwork",
    "REDIS_HOST": "redis.internal",
}
SECRETS = {"DB_PASSWORD", "AES_SECRET", "JWT_SECRET"}

CONTRACT = """
    APP_ENV DEBUG HOST PORT WORKERS DRAIN_DELAY_SECONDS SHUTDOWN_GRACE_SECONDS
    REQUEST_TIMEOUT_SECONDS DATA_DIR EXPORT_DIR LOG_LEVEL LOG_FORMAT LOG_DIR DB_TYPE DB_HOST
    DB_PORT DB_USERNAME DB_PASSWORD DB_DATABASE DB_TLS DB_TLS_CA DB_POOL_SIZE DB_MAX_OVERFLOW
    DB_POOL_TIMEOUT DB_POOL_RECYCLE DB_SLOW_QUERY_MS REDIS_MODE REDIS_HOST REDIS_PORT
    REDIS_USERNAME REDIS_PASSWORD REDIS_DB REDIS_POOL_SIZE REDIS_TLS REDIS_TLS_CA
    CELERY_BROKER_URL JOBS_BACKEND SCHEDULER_ENABLED AES_SECRET AES_SECRET_PREVIOUS JWT_SECRET
    JWT_SECRET_PREVIOUS JWT_ALGORITHM JWT_ISSUER JWT_AUDIENCE ACCESS_TOKEN_EXPIRE_MINUTES
    REFRESH_TOKEN_EXPIRE_DAYS REGISTRATION_ENABLED RATE_LIMIT_DEFAULT RATE_LIMIT_AUTH
    BACKEND_CORS_ORIGINS TRUSTED_PROXIES SNOWFLAKE_NODE_ID MAX_BODY_BYTES
    WEBHOOK_ALLOWED_NETWORKS METRICS_ENABLED METRICS_PORT OPS_ENABLED OTEL_EXPORTER_OTLP_ENDPOINT
"""


def filled_secrets() -> str:
    """`.secrets.example`, filled in by somebody who reads it."""
    text = (CONFIGS / ".secrets.example").read_text()
    real = {
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
        "DB_PASSWORD": "quail-7-battery",
    }
    for key, value in real.items():
        text, count = re.subn(rf"^{key}=<.*>$", f"{key}={value}", text, flags=re.MULTILINE)
        assert count == 1
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of `configs/`, as it is shipped."""
    shutil.copytree(CONFIGS, tmp_path / "configs", ignore=shutil.ignore_patterns(".secrets"))
    return tmp_path / "configs"


def test_there_are_these_five_files() -> None:
    found = {path.name for path in CONFIGS.iterdir()} - {".secrets"}
    assert found == {*ENV_FILES, ".secrets.example"}


@pytest.mark.parametrize("app_env", AppEnv)
def test_each_loads_with_the_secrets_filled_in(folder: Path, app_env: AppEnv) -> None:
    filled = filled_secrets().replace("APP_ENV=dev", f"APP_ENV={app_env}")
    (folder / ".secrets").write_text(filled)
    environ = {"CONFIG_DIR": str(folder), "DATA_DIR": str(folder.parent / "var")}
    if app_env is AppEnv.PROD:
        environ |= DEPLOYMENT
    settings = load_config(environ).settings
    assert settings.app_env is app_env
    assert settings.debug == (app_env in (AppEnv.LOCAL, AppEnv.DEV))
    assert (settings.db_type == "sqlite") == (app_env is AppEnv.LOCAL)


def test_local_needs_nothing_filled_in(folder: Path) -> None:
    environ = {
        "APP_ENV": "local",
        "CONFIG_DIR": str(folder),
        "DATA_DIR": str(folder.parent / "var"),
    }
    assert load_config(environ).settings.app_env is AppEnv.LOCAL


def test_prod_asks_for_what_the_page_on_operations_lists_and_for_nothing_else(
    folder: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"APP_ENV": "prod", "CONFIG_DIR": str(folder)})
    asked = {problem.partition(":")[0] for problem in caught.value.problems}
    assert asked == DEPLOYMENT.keys() | SECRETS
    page = (ROOT / "docs" / "operations.md").read_text()
    listed = page.partition("## What a deployment sets")[2].partition("\n## ")[0]
    assert all(f"`{key}`" in listed for key in asked)


def test_the_example_as_it_is_is_refused_where_something_is_at_stake(folder: Path) -> None:
    shutil.copy(folder / ".secrets.example", folder / ".secrets")
    with pytest.raises(ConfigError) as caught:
        load_config({"CONFIG_DIR": str(folder)})
    assert {problem.partition(":")[0] for problem in caught.value.problems} == SECRETS


def keys_of(text: str) -> set[str]:
    return set(dotenv_values(stream=StringIO(text), interpolate=False))


def uncommented(text: str) -> str:
    """The file with its suggestions taken out of their comments; prose stays in them."""
    suggestion = r"^# ([A-Z_]+=(?:<.*>|\S*)(?: +#.*)?)$"
    return re.sub(suggestion, r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", [*ENV_FILES, ".secrets.example"])
def test_every_key_is_a_setting_those_in_comments_too(name: str) -> None:
    text = (CONFIGS / name).read_text()
    assert keys_of(uncommented(text)) <= set(KEYS)
    assert len(keys_of(uncommented(text))) >= len(keys_of(text)) > 0


@pytest.mark.parametrize("name", ENV_FILES)
def test_what_a_comment_suggests_is_valid(folder: Path, name: str) -> None:
    app_env = name.removeprefix(".env.")
    (folder / name).write_text(uncommented((folder / name).read_text()))
    (folder / ".secrets").write_text(filled_secrets().replace("APP_ENV=dev", ""))
    environ = {"APP_ENV": app_env, "CONFIG_DIR": str(folder), **DEPLOYMENT}
    assert load_config(environ).settings.app_env == app_env


def test_the_example_lists_every_secret_and_the_name_of_the_environment() -> None:
    keys = keys_of(uncommented((CONFIGS / ".secrets.example").read_text()))
    assert keys == {name.upper() for name in SECRET_FIELDS} | {"APP_ENV"}


@pytest.mark.parametrize("name", ENV_FILES)
def test_no_file_that_ships_holds_a_secret(name: str) -> None:
    secrets = {name.upper() for name in SECRET_FIELDS}
    assert not keys_of(uncommented((CONFIGS / name).read_text())) & secrets


def test_the_page_on_configuration_holds_the_reference_as_it_is_now() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page.endswith(f"## Every setting\n\n{settings_reference()}")


def test_the_reference_has_a_row_for_every_key_with_its_default_and_meaning() -> None:
    head, line, *rows = settings_reference().splitlines()
    assert (head, line) == ("| key | default | secret | meaning |", "|---|---|---|---|")
    assert [row.split("|")[1].strip(" `") for row in rows] == list(KEYS)
    assert "| `DEBUG` | `false` |  | docs pages and SQL in the log; not in prod |" in rows
    assert "| `PORT` | `8000` |  | port to listen on |" in rows
    assert "| `TRUSTED_PROXIES` |  |  | " in settings_reference()
    assert any(row.startswith("| `AES_SECRET` | required | yes | 32 bytes") for row in rows)
    assert all(field.description for field in Settings.model_fields.values())


def test_the_reference_is_the_contracts_table_of_keys() -> None:
    assert set(KEYS) == set(CONTRACT.split())
