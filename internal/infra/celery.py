"""Celery as the carrier of job ids: its application, and handing jobs over to it.

Imported where it is used: an API replica that has nothing to hand over never loads Celery.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from internal.config.settings import Settings
from internal.infra.redis import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from celery import Celery

RUN_JOB = "groundwork.run_job"
QUEUES = ("default", "webhooks")
# A handover that takes longer has failed; what has arrived all the same is executed once.
PUBLISH_SECONDS = 10.0


def broker_url(settings: Settings) -> str:
    """CELERY_BROKER_URL, or the Redis of REDIS_*; built, so that any password works."""
    if settings.celery_broker_url is not None:
        return settings.celery_broker_url.get_secret_value()
    password = settings.redis_password.get_secret_value() if settings.redis_password else ""
    account = f"{quote(settings.redis_username or '', safe='')}:{quote(password, safe='')}@"
    host = f"[{settings.redis_host}]" if ":" in (settings.redis_host or "") else settings.redis_host
    address = f"{account if password else ''}{host}:{settings.redis_port}/{settings.redis_db}"
    if settings.redis_tls == "off":
        return f"redis://{address}"
    options = {"ssl_cert_reqs": "required"}
    if settings.redis_tls_ca:
        options["ssl_ca_certs"] = str(settings.redis_tls_ca)
    return f"rediss://{address}?{urlencode(options)}"


def create_celery(settings: Settings) -> "Celery":
    """The application, without tasks: no ETA, no retries, no results, JSON only."""
    from celery import Celery  # noqa: PLC0415 - see above
    from kombu.entity import Queue  # noqa: PLC0415

    url = broker_url(settings)
    app = Celery("groundwork", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=QUEUES[0],
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_transport_options=_transport_options(url),
        broker_pool_limit=1,
    )
    return app


def _transport_options(url: str) -> dict[str, Any]:
    if url.startswith("redis"):
        return {
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 25,
        }
    # RabbitMQ holds a publisher's connection back while it is short of memory or disk.
    return {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS}


class CeleryPublisher:
    """Hands jobs over to the broker, from one thread of its own: Celery's sockets block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="celery-publisher")
        self._app: Celery | None = None

    async def publish(self, jobs: Sequence[tuple[int, str]]) -> None:
        """Sends (job id, queue), all or raises.

        Raises:
            TimeoutError: the broker does not take them.
            kombu.exceptions.OperationalError: it is away, or full.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PUBLISH_SECONDS):
            await loop.run_in_executor(self._thread, self._send, jobs)

    def close(self) -> None:
        """Closes the connection; one that hangs is left behind."""
        if self._app is not None:
            self._thread.submit(self._app.close)
        self._thread.shutdown(wait=False)

    def _send(self, jobs: Sequence[tuple[int, str]]) -> None:
        app = self._app = self._app or create_celery(self._settings)
        try:
            with app.producer_or_acquire() as producer:
                for job_id, queue in jobs:
                    app.send_task(RUN_JOB, (job_id,), queue=queue, producer=producer, retry=False)
        except Exception:
            # The next handover starts on a new connection; this one may be half dead.
            app.close()
            self._app = None
            raise
