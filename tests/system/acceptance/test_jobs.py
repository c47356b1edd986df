"""Jobs: accepted, executed, told; and what becomes of those in the queue when others die."""

import json
import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.system.acceptance.conftest import Admin, command, eventually, run, without

FINAL = {"succeeded", "failed", "dead", "cancelled"}


def submit(
    http: httpx.Client, admin: Admin, kind: str = "maintenance.purge", key: str | None = None
) -> httpx.Response:
    headers = admin.headers | {"Idempotency-Key": key or uuid.uuid4().hex}
    return http.post("/v1/jobs", json={"kind": kind, "payload": {}}, headers=headers)


def accepted(reply: httpx.Response) -> str:
    assert reply.status_code == 202, reply.text
    return str(reply.json()["data"]["id"])


def job(http: httpx.Client, admin: Admin, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/jobs/{job_id}", headers=admin.headers).json()["data"]
    return found


def events(http: httpx.Client, admin: Admin, job_id: str) -> list[dict[str, Any]]:
    """All of them, read as they come until the service ends the stream."""
    path = f"/v1/jobs/{job_id}/events"
    with http.stream("GET", path, headers=admin.headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        lines = list(reply.iter_lines())
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def ended(http: httpx.Client, admin: Admin, job_id: str) -> None:
    eventually(lambda: job(http, admin, job_id)["status"] in FINAL, f"the end of job {job_id}")


def ended_once(http: httpx.Client, admin: Admin, job_id: str) -> None:
    """It succeeded, at its first attempt, and nothing happened to it twice."""
    ended(http, admin, job_id)
    told = events(http, admin, job_id)
    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    assert [event["status"] for event in told] == ["queued", "running", "succeeded"]
    assert job(http, admin, job_id)["attempt"] == 1


@pytest.fixture(autouse=True)
def worker() -> str:
    """Jobs are for where there is a worker, and one may kill it."""
    return command("KILL_WORKER")


@contextmanager
def no_worker(kill: str) -> Generator[None]:
    start = command("START_WORKER")
    run(kill)
    try:
        yield
    finally:
        run(start)


def test_a_job_that_is_accepted_succeeds_and_its_events_tell_it(
    http: httpx.Client, admin: Admin
) -> None:
    job_id = accepted(submit(http, admin))
    told = events(http, admin, job_id)
    assert [event["status"] for event in told] == ["queued", "running", "succeeded"]
    assert [event["sequence"] for event in told] == [1, 2, 3]
    assert job(http, admin, job_id)["result"].keys() == {"jobs", "exports"}
    again = admin.headers | {"Last-Event-ID": "3"}
    assert http.get(f"/v1/jobs/{job_id}/events", headers=again).status_code == 204


def test_what_a_worker_exports_the_api_hands_out(http: httpx.Client, admin: Admin) -> None:
    job_id = accepted(submit(http, admin, "audit.export"))
    ended(http, admin, job_id)
    result = job(http, admin, job_id)["result"]
    export = http.get(f"/v1/jobs/{job_id}/export", headers=admin.headers)
    if "EXPORTS_APART" in os.environ:
        assert export.status_code == 404
        return
    assert export.status_code == 200
    assert len(export.content) == result["bytes"]
    # Made by the command, which the audit log names.
    assert "user.create" in export.text


def test_what_is_submitted_twice_under_one_key_is_one_job(http: httpx.Client, admin: Admin) -> None:
    key = uuid.uuid4().hex
    first, second = submit(http, admin, key=key), submit(http, admin, key=key)
    assert accepted(first) == accepted(second)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert accepted(submit(http, admin)) != accepted(first)


def test_what_is_queued_while_the_worker_is_dead_ends_once(
    http: httpx.Client, admin: Admin, worker: str
) -> None:
    with no_worker(worker):
        waiting = [accepted(submit(http, admin)) for _ in range(5)]
        assert {job(http, admin, job_id)["status"] for job_id in waiting} == {"queued"}
    for job_id in waiting:
        ended_once(http, admin, job_id)


def test_what_is_queued_when_redis_dies_too_ends_once(
    http: httpx.Client, replica: httpx.Client, admin: Admin, worker: str
) -> None:
    with no_worker(worker):
        waiting = [accepted(submit(http, admin)) for _ in range(5)]
        with without(replica, "KILL_REDIS", "START_REDIS"):
            waiting.append(accepted(submit(replica, admin)))
    for job_id in waiting:
        ended_once(http, admin, job_id)
