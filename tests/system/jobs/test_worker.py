"""A worker that is stopped, poisoned, killed by its job, or meets what it does not know."""

import itertools
import json
import time
import uuid
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from tests.servers import MariaDB, Redis, require
from tests.system.jobs.cluster import Cluster, Process

SECONDS = 120
GRACE_SECONDS = 3

type Report = Callable[[str, object], None]


class House:
    """A cluster, and an admin who submits jobs."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._numbers = itertools.count()
        self.http = httpx.Client(base_url=cluster.base_urls[0], timeout=30)
        self.wait(self._is_ready)
        token = cluster.token(cluster.base_urls[0])
        self.http.headers["Authorization"] = f"Bearer {token}"

    def submit(self, kind: str = "test.effect", **payload: object) -> str:
        if kind == "test.effect":
            payload["number"] = next(self._numbers)
        reply = self.http.post("/v1/jobs", json={"kind": kind, "payload": payload})
        assert reply.status_code == httpx.codes.ACCEPTED, reply.text
        return str(reply.json()["data"]["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        data: dict[str, Any] = self.http.get(f"/v1/jobs/{job_id}").json()["data"]
        return data

    def is_now(self, job_id: str, status: str) -> Callable[[], bool]:
        return lambda: self.job(job_id)["status"] == status

    def effects(self, job_id: str) -> int:
        ((count,),) = self.cluster.rows(f"SELECT COUNT(*) FROM effects WHERE job_id = {job_id}")
        return int(count)

    def wait(self, condition: Callable[[], bool]) -> float:
        """Seconds until it holds."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() - started < SECONDS, [p.log for p in self.cluster.processes]
            time.sleep(0.05)
        return time.monotonic() - started

    def _is_ready(self) -> bool:
        try:
            return all(
                httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
                for url in self.cluster.base_urls
            )
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    require(MariaDB)
    require(Redis)
    settings = {"CLAIM_SECONDS": 4, "SHUTDOWN_GRACE_SECONDS": GRACE_SECONDS}
    folder = tmp_path_factory.mktemp("worker")
    with MariaDB() as database, Cluster(folder, database, settings=settings) as cluster:
        house = House(cluster)
        with house.http:
            yield house


@pytest.fixture
def only_worker(house: House) -> Generator[Process]:
    """One works, so that it is known which; the other is there again afterwards."""
    first, second = house.cluster.workers
    second.stop()
    yield first
    first.start()
    second.start()


def test_a_job_that_can_finish_finishes_before_its_worker_stops(
    house: House, only_worker: Process, record_property: Report
) -> None:
    job = house.submit(seconds=1.0)
    house.wait(house.is_now(job, "running"))
    started = time.monotonic()
    assert only_worker.stop() == 0
    record_property(
        "s from SIGTERM to the end of a worker whose job took 1 s",
        round(time.monotonic() - started, 2),
    )
    assert house.job(job)["status"] == "succeeded"
    assert house.effects(job) == 1


def test_a_job_that_takes_too_long_goes_back_at_once_when_its_worker_stops(
    house: House, only_worker: Process, record_property: Report
) -> None:
    job = house.submit(seconds=GRACE_SECONDS * 3)
    house.wait(house.is_now(job, "running"))
    started = time.monotonic()
    assert only_worker.stop() == 0
    record_property(
        "s from SIGTERM to the end of a worker whose job took 9 s",
        round(time.monotonic() - started, 2),
    )
    put_back = house.job(job)
    assert put_back["status"] == "queued"
    assert put_back["max_attempts"] - put_back["attempt"] == 100
    only_worker.start()
    house.wait(house.is_now(job, "succeeded"))
    assert house.effects(job) == 1


@pytest.mark.parametrize("kind", ["test.kill", "test.leave"])
def test_a_job_that_kills_its_worker_every_time_ends_dead_and_others_go_on(
    house: House, kind: str
) -> None:
    # More of them than there are children: each is needed again.
    *killers, killer = [house.submit(kind) for _ in range(6)]
    for each in killers:
        house.wait(house.is_now(each, "dead"))
    other = house.submit()
    house.wait(house.is_now(killer, "dead"))
    assert house.job(killer)["attempt"] == 2
    assert "worker died" in house.job(killer)["error"]
    house.wait(house.is_now(other, "succeeded"))


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("groundwork.run_job", ["7; DROP TABLE jobs"]),
        ("groundwork.run_job", [{"job": 1}]),
        ("groundwork.run_job", []),
        ("groundwork.run_job", [2**80]),
        ("groundwork.run_job", [123]),
        ("groundwork.unknown", [1]),
    ],
)
def test_a_poison_message_harms_nobody(house: House, task: str, arguments: list[object]) -> None:
    push(house.cluster.redis, envelope(task, json.dumps([arguments, {}, {}])))
    job = house.submit()
    house.wait(house.is_now(job, "succeeded"))


@pytest.mark.parametrize("body", [b"\xff\xfe", b"no message at all", b"{}"])
def test_what_is_no_message_at_all_costs_a_restart_at_most(house: House, body: bytes) -> None:
    """kombu cannot read it, and Celery ends: the jobs at hand finish, a supervisor starts anew."""
    push(house.cluster.redis, body)
    job = house.submit()

    def has_succeeded() -> bool:
        for worker in house.cluster.workers:
            worker.restart_if_ended()
        return house.is_now(job, "succeeded")()

    house.wait(has_succeeded)


def test_an_older_worker_leaves_a_newer_kind_to_others(house: House, only_worker: Process) -> None:
    only_worker.kill()
    older = Process("older", house.cluster.folder, house.cluster.env, "worker")
    older.command = ["-m", "internal", "worker"]
    older.start()
    try:
        job = house.submit()
        house.wait(lambda: house.job(job)["error"] is not None)
        assert house.job(job)["error"] == "this release does not know the kind test.effect"
        assert house.job(job)["status"] in ("queued", "running")
    finally:
        assert older.stop() == 0
    only_worker.start()
    house.wait(house.is_now(job, "succeeded"))


def test_jobs_are_accepted_while_the_broker_is_full_and_run_when_it_is_not(house: House) -> None:
    with house.cluster.redis.client() as client:
        client.config_set("maxmemory", 1)
        try:
            jobs = [house.submit() for _ in range(3)]
            time.sleep(2)
            assert {house.job(job)["status"] for job in jobs} == {"queued"}
        finally:
            client.config_set("maxmemory", 0)
    for job in jobs:
        house.wait(house.is_now(job, "succeeded"))
        assert house.effects(job) == 1


def test_a_read_only_database_refuses_jobs_and_loses_none(house: House) -> None:
    before = house.submit(seconds=1.5)
    house.wait(house.is_now(before, "running"))
    house.cluster.database.execute("SET GLOBAL read_only = 1")
    try:
        reply = house.http.post("/v1/jobs", json={"kind": "test.effect", "payload": {"number": 0}})
        assert reply.status_code == httpx.codes.SERVICE_UNAVAILABLE
        time.sleep(2)
    finally:
        house.cluster.database.execute("SET GLOBAL read_only = 0")
    house.wait(house.is_now(before, "succeeded"))
    assert house.effects(before) == 1


def envelope(task: str, body: str) -> bytes:
    """A message as Celery puts it into Redis."""
    delivery = {"exchange": "", "routing_key": "default"}
    headers = {
        "lang": "py",
        "task": task,
        "id": str(uuid.uuid4()),
        "argsrepr": "",
        "kwargsrepr": "",
    }
    properties = {
        "correlation_id": headers["id"],
        "delivery_mode": 2,
        "delivery_info": delivery,
        "priority": 0,
        "body_encoding": "utf-8",
        "delivery_tag": str(uuid.uuid4()),
    }
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(message).encode()


def push(redis: Redis, message: bytes) -> None:
    with redis.client() as client:
        client.lpush("default", message)
