"""Redis: a pooled client over sockets, or its twin inside this process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.metrics import Metrics
from internal.infra.tls import client_context

TIMEOUT_SECONDS = 5
# Away, or full, read-only, without its replicas: the commands are ours, a refusal is its state.
REDIS_AWAY = (RedisError,)

_log = logger.bind(logger="redis")


def create_client(
    settings: Settings, *, connections: int, timeout: float, retries: int = 1
) -> Redis:
    """A client with a pool of its own; it connects at its first command.

    Args:
        timeout: seconds for a connection from the pool, to connect, and for a reply.
        retries: how often a command is tried again after a broken connection.
    """
    if settings.redis_mode == "embedded":
        return _embedded_client()
    options: dict[str, Any] = {}
    if settings.redis_tls == "on":
        client_context(settings.redis_tls_ca, "REDIS_TLS_CA")  # a bad CA file fails here, by name
        ca_file = str(settings.redis_tls_ca) if settings.redis_tls_ca else None
        options = {"connection_class": SSLConnection, "ssl_ca_certs": ca_file}
    password = settings.redis_password
    return Redis.from_pool(
        BlockingConnectionPool(
            host=settings.redis_host,
            port=settings.redis_port,
            db=settings.redis_db,
            username=settings.redis_username,
            password=password.get_secret_value() if password else None,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), retries),
            decode_responses=True,
            **options,
        )
    )


def _embedded_client() -> Redis:
    try:
        from fakeredis import FakeAsyncRedis  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StartError(
            "REDIS_MODE=embedded: this build is without the extra `embedded`; install it"
        ) from error
    client: Redis = FakeAsyncRedis(decode_responses=True)
    return client


@asynccontextmanager
async def open_redis(settings: Settings, metrics: Metrics | None = None) -> AsyncGenerator[Redis]:
    """The client, once the server has answered; its connections are closed at the end.

    Raises:
        StartError: Redis cannot be reached or refuses us.
    """
    client = create_client(settings, connections=settings.redis_pool_size, timeout=TIMEOUT_SECONDS)
    if metrics is not None:
        _count_commands(client, metrics)
    try:
        try:
            await client.ping()
            await _warn_about_eviction(client, settings)
        except RedisError as error:
            raise StartError(
                f"redis: {settings.redis_host}:{settings.redis_port}: {error}; "
                "check REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and that the server runs"
            ) from error
        yield client
    finally:
        await client.aclose()


def _count_commands(client: Redis, metrics: Metrics) -> None:
    """Also those of its pipelines, when they are queued."""
    pipeline = client.pipeline

    def pipeline_counted(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Redis has it
        pipe = pipeline(*args, **options)
        _count_executed(pipe, metrics)
        return pipe

    _count_executed(client, metrics)
    client.pipeline = pipeline_counted  # type: ignore[method-assign]


def _count_executed(client: Redis, metrics: Metrics) -> None:
    execute = client.execute_command

    def execute_counted(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Redis has it
        metrics.count("redis_commands_total", str(args[0]))
        return execute(*args, **options)  # type: ignore[no-untyped-call]

    # Of the client and not its class: the embedded one's class is another.
    client.execute_command = execute_counted  # type: ignore[method-assign]


async def _warn_about_eviction(client: Redis, settings: Settings) -> None:
    """Nonces and locks are keys: a server that drops keys when full forgets them."""
    if settings.redis_mode == "embedded":
        return
    try:
        policy = (await client.info("memory")).get("maxmemory_policy", "noeviction")
    except NoPermissionError:  # INFO is one of the commands that ACLs call dangerous
        _log.warning(
            "redis does not tell whether it may evict keys: allow INFO to REDIS_USERNAME, "
            "or make sure that maxmemory-policy is noeviction"
        )
        return
    if policy != "noeviction":
        _log.bind(maxmemory_policy=policy).warning(
            "redis may evict keys; set maxmemory-policy to noeviction"
        )
