"""Traces over several processes, and a collector that is not there."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import command
from tests.collector import Sent, collecting
from tests.servers import HOST, die_with_the_tests, free_port
from tests.system.serving import EMBEDDED, Serving

ADMIN, PASSWORD = "tracer", "correct horse battery staple"
STOP_SECONDS = 60


@contextmanager
def running(env: dict[str, str], *arguments: str) -> Generator[None]:
    """A worker or a scheduler for the length of the block."""
    process = subprocess.Popen(
        [command.GROUNDWORK, *arguments],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_the_tests,  # noqa: PLW1509 - one system call, no lock
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def create_admin(env: dict[str, str]) -> None:
    subprocess.run(
        [command.GROUNDWORK, "users", "create-admin", ADMIN],
        env=env,
        input=PASSWORD,
        text=True,
        capture_output=True,
        check=True,
    )


def submit(serve: Serving) -> tuple[str, str]:
    """An admin's job: its id and its trace."""
    login = serve.http.post("/v1/auth/login", json={"username": ADMIN, "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
    body = {"kind": "maintenance.purge", "payload": {}}
    reply = serve.http.post("/v1/jobs", json=body, headers=bearer)
    assert reply.status_code == 202, reply.text
    return reply.json()["data"]["id"], reply.headers["x-trace-id"]


def test_a_trace_goes_from_a_replica_into_a_worker_and_a_scheduler_has_its_own(
    some_servers: dict[str, str], tmp_path: Path
) -> None:
    with collecting() as collector:
        settings = {
            **some_servers,
            "WORKERS": 2,
            "SCHEDULER_ENABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary-key",
            "OTEL_BSP_SCHEDULE_DELAY": 100,
        }
        with Serving(tmp_path, settings) as serve:
            create_admin(serve.env)
            with running(serve.env, "worker"), running(serve.env, "scheduler"):
                job_id, trace_id = submit(serve)

                def of_trace(name: str) -> list[Sent]:
                    return [span for span in collector.named(name) if span.trace_id == trace_id]

                collector.wait(
                    lambda collector: bool(
                        of_trace("job maintenance.purge")
                        and of_trace("POST /v1/jobs")
                        and collector.named("tick jobs.reap")
                    )
                )
            assert "canary" not in serve.log + serve.errors
        (request,), (job,) = of_trace("POST /v1/jobs"), of_trace("job maintenance.purge")
        (tick, *_) = collector.named("tick jobs.reap")
    assert job.parent_id == f"{int(job_id):016x}"
    processes = [span.resource["groundwork.process"] for span in (request, job, tick)]
    assert processes == ["api", "worker", "scheduler"]
    statements = [span for span in collector.spans if span.parent_id == job.span_id]
    assert {span.attributes["db.system.name"] for span in statements} == {"mysql"}
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer canary-key"}


@contextmanager
def silent_collector() -> Generator[int]:
    """Takes connections and answers nothing."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def nobody() -> Generator[int]:
    yield free_port()


@pytest.mark.parametrize("away", [nobody, silent_collector])
def test_a_collector_that_is_away_is_told_once_and_holds_nothing_up(
    tmp_path: Path, away: Callable[[], AbstractContextManager[int]]
) -> None:
    with away() as port:
        settings = {
            **EMBEDDED,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:canary-password@{HOST}:{port}",
            "OTEL_EXPORTER_OTLP_HEADERS": "not a header canary-key, authorization=canary-token",
            "OTEL_EXPORTER_OTLP_TIMEOUT": 1,
            "OTEL_BSP_SCHEDULE_DELAY": 50,
            "OTEL_BSP_MAX_QUEUE_SIZE": 64,
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 16,
            "RATE_LIMIT_DEFAULT": "1000000/minute",
        }
        with Serving(tmp_path, settings) as serve:
            for _ in range(300):
                assert serve.http.get("/v1/auth/me").status_code == 401
            serve.wait_for(lambda: bool(told(serve)))
            for _ in range(300):
                assert serve.http.get("/version").status_code == 200
            assert serve.http.get("/readyz").status_code == 200
            started = time.monotonic()
            serve.send(signal.SIGTERM)
            assert serve.wait_for_exit() == 0
            stopped_within = time.monotonic() - started
        assert told(serve) == [
            f"the collector at {HOST}:{port} does not take traces; they are dropped meanwhile"
        ]
        assert "canary" not in serve.log + serve.errors
        assert serve.errors == ""
        assert stopped_within < SDKS_OWN_PATIENCE


# What the SDK would wait for at a stop.
SDKS_OWN_PATIENCE = 30


def told(serve: Serving) -> list[str]:
    """What is said of traces, and by whatever of OpenTelemetry or urllib3."""
    return [
        line["message"]
        for line in serve.lines
        if line["logger"].startswith(("tracing", "opentelemetry", "urllib3"))
    ]


def test_a_collector_that_comes_back_is_told_too(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.status = 503
        settings = {
            **EMBEDDED,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_TIMEOUT": 1,
            "OTEL_BSP_SCHEDULE_DELAY": 50,
        }
        with Serving(tmp_path, settings) as serve:
            serve.wait_for(lambda: len(told(serve)) == 1)
            collector.status = 200
            serve.http.get("/version")
            serve.wait_for(lambda: len(told(serve)) == 2)
            assert told(serve)[1] == "traces are taken again"


def test_without_the_extra_a_start_names_the_mend(tmp_path: Path) -> None:
    """As where it is not installed: the interpreter finds none of it."""
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; from internal import cli; "
    env = command.environment(
        tmp_path, {**EMBEDDED, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:canary@collector:4318"}
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden} sys.argv = ['groundwork', 'serve']; cli.main()"],
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr == (
        "CRITICAL: Config load failed: OTEL_EXPORTER_OTLP_ENDPOINT: this build is without the "
        "extra `otel`: install it or unset the key (from the environment); correct it there\n"
    )
