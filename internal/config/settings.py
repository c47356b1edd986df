"""Every setting of the service: its type, default, meaning and rules.

Where values come from is `load_config`'s business.
"""

import re
from enum import StrEnum
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from internal.config.secrets import parse_key


class AppEnv(StrEnum):
    LOCAL = "local"
    DEV = "dev"
    TEST = "test"
    PROD = "prod"


class SettingsError(ValueError):
    """Rules between several keys that do not hold: (key, what is wrong and the mend)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {problem}" for key, problem in problems))
        self.problems = problems


def _split(value: object) -> object:
    """A list as people write it into an environment variable: comma-separated."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _network(value: object) -> object:
    """Python's own error would repeat the value, which may be a secret in the wrong place."""
    try:
        return ip_network(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("not a network: write it like 10.0.0.0/8, host bits zero") from None


type CommaSeparated[T] = Annotated[list[T], BeforeValidator(_split)]
type Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]

_RATE = re.compile(
    r"[1-9]\d*\s*(/|per)\s*([1-9]\d*\s*)?(second|minute|hour|day|month|year)s?", re.IGNORECASE
)
_JWT_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_PLACEHOLDER = re.compile(
    r"^<.*>$|change[-_ ]?me|place[-_ ]?holder|^(secret|password|example|todo|xxx+)$|^your[-_ ]",
    re.IGNORECASE,
)


def _secret(meaning: str) -> Any:  # noqa: ANN401 - what pydantic's Field returns
    return Field(default=None, description=meaning)


class Settings(BaseModel):
    """The configuration of one process. Immutable; its repr shows no secret."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=str.upper,
        allow_inf_nan=False,
    )

    app_env: AppEnv = Field(description="which environment: local, dev, test or prod")
    debug: bool = Field(default=False, description="docs pages and SQL in the log; not in prod")

    host: str = Field(default="0.0.0.0", description="address to listen on")  # noqa: S104 - a server
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    workers: int = Field(default=1, ge=1, le=256, description="server processes")
    drain_delay_seconds: float = Field(
        default=0, ge=0, description="listeners stay open this long after a stop is asked for"
    )
    shutdown_grace_seconds: int = Field(
        default=25, ge=0, description="how long requests in flight may take to finish at a stop"
    )
    request_timeout_seconds: float = Field(
        default=30, gt=0, description="how long a request may take to arrive and to be answered"
    )

    data_dir: Path = Field(default=Path("var"), description="what the service writes")
    export_dir: Path | None = Field(default=None, description="exports; DATA_DIR/exports if unset")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="the least level that is logged"
    )
    log_format: Literal["json", "text"] = Field(default="json", description="lines on stdout")
    log_dir: Path | None = Field(
        default=None, description="also daily files here, one a process, kept 30 days"
    )

    db_type: Literal["mysql", "sqlite"] = Field(default="mysql", description="the database")
    db_host: str | None = Field(default=None, description="the MySQL server")
    db_port: int = Field(default=3306, ge=1, le=65535, description="its port")
    db_username: str | None = Field(default=None, description="its user")
    db_password: SecretStr | None = _secret("its password; any characters")
    db_database: str | None = Field(
        default=None, description="the database's name (for SQLite: the file's, in DATA_DIR)"
    )
    db_tls: Literal["off", "on"] = Field(
        default="off", description="on: TLS, the server's certificate and name verified"
    )
    db_tls_ca: Path | None = Field(default=None, description="CA file; the system's if unset")
    db_pool_size: int = Field(default=10, ge=1, description="connections kept open")
    db_max_overflow: int = Field(default=20, ge=0, description="connections beyond those, at most")
    db_pool_timeout: float = Field(default=30, gt=0, description="seconds to wait for one")
    db_pool_recycle: int = Field(default=1800, ge=-1, description="seconds until one is renewed")
    db_slow_query_ms: int = Field(
        default=500, ge=0, description="slower statements are logged, without their values"
    )

    redis_mode: Literal["server", "embedded"] = Field(
        default="server", description="embedded: inside this process, lost with it"
    )
    redis_host: str | None = Field(default=None, description="the Redis server")
    redis_port: int = Field(default=6379, ge=1, le=65535, description="its port")
    redis_username: str | None = Field(default=None, description="its ACL user, if any")
    redis_password: SecretStr | None = _secret("its password, if any")
    redis_db: int = Field(default=0, ge=0, description="its database number")
    redis_pool_size: int = Field(default=20, ge=1, description="connections at most")
    redis_tls: Literal["off", "on"] = Field(
        default="off", description="on: TLS, the server's certificate and name verified"
    )
    redis_tls_ca: Path | None = Field(default=None, description="CA file; the system's if unset")

    celery_broker_url: SecretStr | None = _secret(
        "redis://, rediss://, amqp:// or amqps://; made from REDIS_* if unset"
    )
    jobs_backend: Literal["celery", "embedded"] = Field(
        default="celery", description="embedded: jobs run inside the API process"
    )
    scheduler_enabled: bool = Field(default=True, description="may this process be the scheduler")

    aes_secret: SecretStr = Field(
        description="32 bytes, urlsafe base64: opens ENC(…) values; never itself ENC"
    )
    aes_secret_previous: SecretStr | None = _secret("earlier ones, comma-separated; still open")
    jwt_secret: SecretStr = Field(description="signs tokens: 32, 48 or 64 bytes for HS256/384/512")
    jwt_secret_previous: SecretStr | None = _secret("earlier ones, comma-separated; still verify")
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        default="HS256", description="the only algorithm that is accepted"
    )
    jwt_issuer: str = Field(default="groundwork", description="iss of our tokens")
    jwt_audience: str = Field(default="groundwork", description="aud of our tokens")
    access_token_expire_minutes: int = Field(
        default=30, ge=1, description="life of an access token"
    )
    refresh_token_expire_days: int = Field(
        default=30, ge=1, description="life of a session, from its login; never extended"
    )
    registration_enabled: bool | None = Field(
        default=None, description="may strangers register; if unset: in local and test only"
    )

    rate_limit_default: str = Field(default="600/minute", description="a caller's requests")
    rate_limit_auth: str = Field(
        default="20/minute", description="login, register, refresh, change of password"
    )
    backend_cors_origins: CommaSeparated[str] = Field(
        default=[], description="origins that browsers may call from, comma-separated"
    )
    trusted_proxies: CommaSeparated[Network] = Field(
        default=[], description="networks whose X-Forwarded-For counts, comma-separated"
    )
    snowflake_node_id: int | None = Field(
        default=None, ge=0, le=1023, description="node of this process's ids; one process only"
    )
    max_body_bytes: int = Field(default=1024 * 1024, ge=0, description="larger bodies get 413")
    webhook_allowed_networks: CommaSeparated[Network] = Field(
        default=[], description="private networks that webhooks may reach, comma-separated"
    )

    metrics_enabled: bool = Field(default=True, description="serve /metrics")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="a port of its own for /metrics"
    )
    ops_enabled: bool = Field(default=True, description="serve the operations page, /ops")
    otel_exporter_otlp_endpoint: SecretStr | None = _secret(
        "the OTLP collector that traces go to, http:// or https://; none are made if unset"
    )

    @field_validator("aes_secret")
    @classmethod
    def _is_aes_key(cls, value: SecretStr) -> SecretStr:
        parse_key(value.get_secret_value())
        return value

    @field_validator("aes_secret_previous")
    @classmethod
    def _are_aes_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in split_secrets(value):
            parse_key(key)
        return value

    @field_validator("rate_limit_default", "rate_limit_auth")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        if not all(_RATE.fullmatch(part.strip()) for part in value.split(";")):
            raise ValueError("not a rate: write it like 600/minute or 5 per 15 minutes")
        return value

    @field_validator("backend_cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if origin == "*":
                raise ValueError("`*` is refused, credentials are allowed: list the origins")
            if not re.fullmatch(r"https?://[^/?#@*\s]+", origin):
                raise ValueError("an origin is scheme://host[:port], without a path or a wildcard")
        return value

    @field_validator("celery_broker_url")
    @classmethod
    def _is_broker(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"(redis|rediss|amqp|amqps)://", value.get_secret_value()):
            raise ValueError("not a broker: redis://, rediss://, amqp:// or amqps:// is expected")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_collector(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if not re.match(r"https?://[^/?#\s]+", value.get_secret_value()):
            raise ValueError("not a collector: http:// or https:// and a host is expected")
        if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
            raise ValueError("this build is without the extra `otel`: install it or unset the key")
        return value

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems = [*self._missing(), *self._weak(), *self._misplaced()]
        if problems:
            raise SettingsError(problems)
        return self

    def _missing(self) -> list[tuple[str, str]]:
        needed: list[str] = []
        if self.db_type == "mysql":
            needed += ["db_host", "db_username", "db_password", "db_database"]
        if self.redis_mode == "server":
            needed += ["redis_host"]
        return [
            (name.upper(), "missing; set it in the environment, a secret file or the .env file")
            for name in needed
            if getattr(self, name) is None
        ]

    def _weak(self) -> list[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        least = _JWT_SECRET_BYTES[self.jwt_algorithm]
        mend = "make one with `groundwork config generate-secrets`"
        for name in ("jwt_secret", "jwt_secret_previous"):
            if any(len(secret.encode()) < least for secret in self._secrets(name)):
                short = f"too short for {self.jwt_algorithm} ({least} bytes); {mend}"
                problems.append((name.upper(), short))
        # An AES_SECRET is base64 and holds neither.
        jwt_secret = self.jwt_secret.get_secret_value()
        if "," in jwt_secret or jwt_secret != jwt_secret.strip():
            unlistable = "a comma or outer space, which JWT_SECRET_PREVIOUS, a list, cannot hold"
            problems.append(("JWT_SECRET", f"{unlistable}; {mend}"))
        if self.app_env in (AppEnv.DEV, AppEnv.PROD):
            problems += [
                (name.upper(), "still a placeholder; put the real secret in its place")
                for name in SECRET_FIELDS
                for secret in self._secrets(name)
                if _PLACEHOLDER.search(secret)
            ]
        return problems

    def _secrets(self, name: str) -> list[str]:
        """What stands under a name: only the previous ones are a list, a password has commas."""
        value: SecretStr | None = getattr(self, name)
        if value is None or name.endswith("_previous"):
            return split_secrets(value)
        return [value.get_secret_value()]

    def _misplaced(self) -> list[tuple[str, str]]:
        parts = {
            "DB_TYPE": self.db_type == "sqlite",
            "REDIS_MODE": self.redis_mode == "embedded",
            "JOBS_BACKEND": self.jobs_backend == "embedded",
        }
        embedded = [key for key, is_embedded in parts.items() if is_embedded]
        problems: list[tuple[str, str]] = []
        if self.app_env is AppEnv.PROD:
            problems += [(key, "refused in prod; use the real part") for key in embedded]
            if self.debug:
                problems.append(("DEBUG", "refused in prod; set it to false"))
        if self.workers > 1:
            problems += [(key, "serves one process only; set WORKERS=1") for key in embedded]
            if self.snowflake_node_id is not None:
                problems.append(
                    ("SNOWFLAKE_NODE_ID", "one node for several workers would repeat ids; unset it")
                )
        return problems


def split_secrets(value: SecretStr | None) -> list[str]:
    """The secrets of a comma-separated list; a single one is a list of one."""
    if value is None:
        return []
    return [part.strip() for part in value.get_secret_value().split(",") if part.strip()]


SECRET_FIELDS = tuple(
    name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
)
KEYS = tuple(name.upper() for name in Settings.model_fields)
