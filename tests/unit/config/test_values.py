"""How values are written: lists, networks, origins, rates, numbers."""

from pathlib import Path

import pytest

from internal.config.settings import Settings
from tests.unit.config.folder import PROD, Folder


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example", ["https://app.example"]),
        (
            " https://a.example , http://localhost:3000 ,",
            ["https://a.example", "http://localhost:3000"],
        ),
        ("http://[::1]:8080", ["http://[::1]:8080"]),
        (" , ", []),
    ],
)
def test_origins_are_a_comma_separated_list(folder: Folder, text: str, origins: list[str]) -> None:
    assert folder.load({"BACKEND_CORS_ORIGINS": text}).settings.backend_cors_origins == origins


def test_code_gives_lists_as_they_are() -> None:
    lists = {"BACKEND_CORS_ORIGINS": ["https://a.example"], "TRUSTED_PROXIES": ["10.0.0.0/8"]}
    settings = Settings.model_validate({**PROD, **lists})
    assert settings.backend_cors_origins == ["https://a.example"]
    assert list(map(str, settings.trusted_proxies)) == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "//app.example",
        "ftp://app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?x",
        "https://app.example#x",
        "https://user@app.example",
        "https://*.example",
        "https://a b",
        "https://",
        "null",
    ],
)
def test_anything_else_is_no_origin(folder: Folder, origin: str) -> None:
    (problem,) = folder.problems({"BACKEND_CORS_ORIGINS": f"https://fine.example,{origin}"})
    assert problem == (
        "BACKEND_CORS_ORIGINS: an origin is scheme://host[:port], without a path or a wildcard "
        "(from the environment); correct it there"
    )


def test_a_star_is_refused_because_credentials_are_allowed(folder: Folder) -> None:
    (problem,) = folder.problems({"BACKEND_CORS_ORIGINS": "*"})
    assert problem.startswith("BACKEND_CORS_ORIGINS: `*` is refused, credentials are allowed")


@pytest.mark.parametrize("key", ["TRUSTED_PROXIES", "WEBHOOK_ALLOWED_NETWORKS"])
def test_networks_are_a_comma_separated_list(folder: Folder, key: str) -> None:
    settings = folder.load({key: "10.0.0.0/8, 192.0.2.7 ,fd00::/8,::1"}).settings
    networks = getattr(settings, key.lower())
    assert list(map(str, networks)) == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::1/128"]


@pytest.mark.parametrize("key", ["TRUSTED_PROXIES", "WEBHOOK_ALLOWED_NETWORKS"])
@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "proxy", "*"])
def test_anything_else_is_no_network(folder: Folder, key: str, network: str) -> None:
    (problem,) = folder.problems({key: f"10.0.0.0/8,{network}"})
    assert problem == (
        f"{key}: not a network: write it like 10.0.0.0/8, host bits zero "
        "(from the environment); correct it there"
    )


@pytest.mark.parametrize("key", ["RATE_LIMIT_DEFAULT", "RATE_LIMIT_AUTH"])
@pytest.mark.parametrize(
    "rate", ["600/minute", "5 per 15 minutes", "1/second;100/hour", "10 / 2 DAYS", "7 per month"]
)
def test_a_rate_is_in_the_notation_of_limits(folder: Folder, key: str, rate: str) -> None:
    assert getattr(folder.load({key: rate}).settings, key.lower()) == rate


@pytest.mark.parametrize("key", ["RATE_LIMIT_DEFAULT", "RATE_LIMIT_AUTH"])
@pytest.mark.parametrize(
    "rate", ["600", "0/minute", "-1/minute", "600/fortnight", "x/minute", "1/0 minutes", "1/hour;"]
)
def test_anything_else_is_no_rate(folder: Folder, key: str, rate: str) -> None:
    (problem,) = folder.problems({key: rate})
    assert problem.startswith(f"{key}: not a rate: write it like 600/minute or 5 per 15 minutes")


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [
        ("PORT", 0, 65535),
        ("WORKERS", 1, 256),
        ("DB_PORT", 1, 65535),
        ("REDIS_PORT", 1, 65535),
        ("METRICS_PORT", 1, 65535),
        ("SNOWFLAKE_NODE_ID", 0, 1023),
        ("REDIS_DB", 0, None),
        ("REDIS_POOL_SIZE", 1, None),
        ("DB_POOL_SIZE", 1, None),
        ("DB_MAX_OVERFLOW", 0, None),
        ("DB_SLOW_QUERY_MS", 0, None),
        ("SHUTDOWN_GRACE_SECONDS", 0, None),
        ("DRAIN_DELAY_SECONDS", 0, None),
        ("MAX_BODY_BYTES", 0, None),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", 1, None),
        ("REFRESH_TOKEN_EXPIRE_DAYS", 1, None),
    ],
)
def test_a_number_has_its_bounds(folder: Folder, key: str, least: int, most: int | None) -> None:
    for number in (least, least + 1, *([most] if most else [])):
        assert getattr(folder.load({key: str(number)}).settings, key.lower()) == number
    wrong = [least - 1, *([most + 1] if most else []), "many", "1e", "0x10", "1,000", "½"]
    for value in wrong:
        (problem,) = folder.problems({key: str(value)})
        assert problem.startswith(f"{key}: Input should be ")
        assert problem.endswith(" (from the environment); correct it there")


@pytest.mark.parametrize("key", ["DRAIN_DELAY_SECONDS", "REQUEST_TIMEOUT_SECONDS"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "1e999"])
def test_a_time_that_never_ends_is_refused(folder: Folder, key: str, value: str) -> None:
    (problem,) = folder.problems({key: value})
    assert problem.startswith(f"{key}: ")


def test_a_request_must_be_given_some_time(folder: Folder) -> None:
    assert folder.load({"REQUEST_TIMEOUT_SECONDS": "0.5"}).settings.request_timeout_seconds == 0.5
    (problem,) = folder.problems({"REQUEST_TIMEOUT_SECONDS": "0"})
    assert problem.startswith("REQUEST_TIMEOUT_SECONDS: Input should be greater than 0")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DEBUG", "maybe"),
        ("LOG_LEVEL", "VERBOSE"),
        ("LOG_FORMAT", "xml"),
        ("DB_TYPE", "postgres"),
        ("DB_TLS", "maybe"),
        ("REDIS_TLS", "true"),
        ("REDIS_MODE", "cluster"),
        ("JOBS_BACKEND", "threads"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "RS256"),
        ("SCHEDULER_ENABLED", "perhaps"),
    ],
)
def test_a_choice_that_is_not_offered_is_refused(folder: Folder, key: str, value: str) -> None:
    problems = folder.problems({key: value})
    assert problems[0].startswith(f"{key}: Input should be ")
    assert len(problems) == 1


def test_the_defaults_are_the_contracts(folder: Folder) -> None:
    settings = folder.load().settings
    expected = {
        "debug": False,
        "host": "0.0.0.0",
        "port": 8000,
        "workers": 1,
        "drain_delay_seconds": 0,
        "shutdown_grace_seconds": 25,
        "request_timeout_seconds": 30,
        "data_dir": Path("var"),
        "log_level": "INFO",
        "log_format": "json",
        "log_dir": None,
        "db_type": "mysql",
        "db_port": 3306,
        "db_tls": "off",
        "db_tls_ca": None,
        "db_pool_size": 10,
        "db_max_overflow": 20,
        "db_pool_timeout": 30,
        "db_pool_recycle": 1800,
        "db_slow_query_ms": 500,
        "redis_mode": "server",
        "redis_port": 6379,
        "redis_username": None,
        "redis_password": None,
        "redis_db": 0,
        "redis_pool_size": 20,
        "redis_tls": "off",
        "jobs_backend": "celery",
        "scheduler_enabled": True,
        "aes_secret_previous": None,
        "jwt_secret_previous": None,
        "jwt_algorithm": "HS256",
        "jwt_issuer": "groundwork",
        "jwt_audience": "groundwork",
        "access_token_expire_minutes": 30,
        "refresh_token_expire_days": 30,
        "rate_limit_default": "600/minute",
        "rate_limit_auth": "20/minute",
        "backend_cors_origins": [],
        "trusted_proxies": [],
        "snowflake_node_id": None,
        "max_body_bytes": 1024 * 1024,
        "webhook_allowed_networks": [],
        "metrics_enabled": True,
        "metrics_port": None,
        "otel_exporter_otlp_endpoint": None,
    }
    assert {key: getattr(settings, key) for key in expected} == expected
    for list_of in ("backend_cors_origins", "trusted_proxies", "webhook_allowed_networks"):
        getattr(settings, list_of).append("changed")
    assert Settings.model_fields["trusted_proxies"].get_default() == []
    assert folder.load().settings.trusted_proxies == []
