"""`/v1/jobs` as its callers meet it."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from internal.core.clock import utc_now
from tests.security.accounts import Replica
from tests.security.callers import Callers
from tests.security.jobs.driving import Driver, waiting_job
from tests.security.jobs.kinds import ECHO

pytestmark = pytest.mark.anyio

JOBS = "/v1/jobs"
TRACE_ID = {"X-Trace-ID": "cd" * 16}
TOMORROW = (utc_now() + timedelta(days=1)).isoformat()


async def submit(callers: Callers, role: str = "user", **body: Any) -> httpx.Response:
    return await callers.send(role, "POST", JOBS, json={"kind": ECHO, **body})


async def ids(callers: Callers, role: str, **query: str) -> list[str]:
    reply = await callers.send(role, "GET", JOBS, params=query)
    assert reply.status_code == 200, reply.text
    return [job["id"] for job in reply.json()["data"]["items"]]


async def status(callers: Callers, driver: Driver) -> str:
    reply = await callers.send("user", "GET", driver.path)
    found: str = reply.json()["data"]["status"]
    return found


async def test_a_job_is_accepted_seen_and_belongs_to_who_has_asked_for_it(
    callers: Callers,
) -> None:
    reply = await submit(callers, payload={"text": "重复"}, run_at=TOMORROW)
    assert reply.status_code == 202
    job = reply.json()["data"]
    assert (job["status"], job["attempt"], job["payload"]) == (
        "queued",
        0,
        {"text": "重复", "number": 0},
    )
    assert job["owner_id"] == str(callers.service.populated.ids["user"])
    assert job["trace_id"] == reply.headers["x-trace-id"]
    again = await callers.send("user", "GET", f"{JOBS}/{job['id']}")
    assert again.json()["data"] == job


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"kind": "no.such"}, 422, "body.kind"),
        ({"kind": "maintenance.purge"}, 422, "body.kind"),
        ({"kind": "Not A Kind"}, 422, "body.kind"),
        ({"kind": None}, 422, "body.kind"),
        ({"payload": {"number": "x"}}, 422, "body.payload.number"),
        ({"payload": {"other": 1}}, 422, "body.payload.other"),
        ({"payload": []}, 422, "body.payload"),
        ({"run_at": "9999-12-31T23:59:59Z"}, 422, "body.run_at"),
        ({"run_at": "9999-12-31T23:59:59-23:59"}, 422, "body.run_at"),
        ({"run_at": "2026-11-28T00:00:00"}, 422, "body.run_at"),
        ({"run_at": "tomorrow"}, 422, "body.run_at"),
        ({"run_at": 1e300}, 422, "body.run_at"),
    ],
    ids=str,
)
async def test_what_cannot_be_a_job_is_refused_and_named(
    callers: Callers, body: dict[str, Any], code: int, field: str
) -> None:
    before = await callers.service.rows("jobs")
    reply = await submit(callers, **body)
    assert reply.status_code == code, reply.text
    assert [problem["field"] for problem in reply.json()["data"]] == [field]
    assert await callers.service.rows("jobs") == before


@pytest.mark.parametrize("text", ["x" * 65_536, "重" * 22_000], ids=["ascii", "chinese"])
async def test_a_payload_of_more_than_64_kib_is_413(callers: Callers, text: str) -> None:
    reply = await submit(callers, payload={"text": text})
    assert (reply.status_code, reply.json()["code"]) == (413, 40005)
    assert (await submit(callers, payload={"text": text[:20_000]})).status_code == 202


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ('{"a": NaN}', "no_json"),
        ('{"a": [-Infinity]}', "no_json"),
        ('{"a": 1e999}', "no_json"),
        (r'{"a": "\ud800"}', "no_json"),
        (r'{"\udfff": 1}', "no_json"),
        ('{"a": ' + "[" * 29 + "]" * 29 + "}", "too_deep"),
        ('{"a": ' * 500 + "1" + "}" * 500, "too_deep"),
    ],
    ids=["NaN", "Infinity", "1e999", "surrogate", "surrogate as a key", "31 levels", "500 levels"],
)
async def test_what_only_python_takes_for_json_is_422(
    callers: Callers, data: str, problem: str
) -> None:
    reply = await submit_webhook(callers, data)
    assert reply.status_code == 422, reply.text
    (found,) = reply.json()["data"]
    assert (found["field"], found["type"]) == ("body.payload", problem)


@pytest.mark.parametrize(
    "data",
    ['{"a": ' + "[" * 28 + "]" * 28 + "}", r'{"a": "\ud83d\ude00\u0000"}', '{"a": 1.7e308}'],
    ids=["30 levels", "a surrogate pair", "a large number"],
)
async def test_whatever_json_there_is_is_stored_as_it_came(callers: Callers, data: str) -> None:
    reply = await submit_webhook(callers, data)
    assert reply.status_code == 202, reply.text
    job = reply.json()["data"]
    again = await callers.send("admin", "GET", f"{JOBS}/{job['id']}")
    assert again.json()["data"]["payload"]["data"] == json.loads(data)


async def submit_webhook(callers: Callers, data: str) -> httpx.Response:
    payload = f'{{"endpoint_id": "5", "event": "a.b", "data": {data}}}'
    body = f'{{"kind": "webhook.deliver", "payload": {payload}, "run_at": "{TOMORROW}"}}'
    headers = {"Content-Type": "application/json"}
    return await callers.send("admin", "POST", JOBS, content=body, headers=headers)


@pytest.mark.parametrize("run_at", ["0001-01-01T00:00:00+23:59", "2020-01-01T00:00:00Z"])
async def test_a_time_in_the_past_is_now(callers: Callers, run_at: str) -> None:
    before = utc_now()
    reply = await submit(callers, run_at=run_at)
    assert reply.status_code == 202
    assert reply.json()["data"]["next_run_at"] >= before.isoformat()[:23]


async def test_the_same_key_makes_one_job(callers: Callers) -> None:
    headers = {"Idempotency-Key": "a-key"}
    body = {"kind": ECHO, "run_at": TOMORROW}
    replies = [
        await callers.send("user", "POST", JOBS, json=body, headers=headers) for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [202, 202]
    assert replies[0].json()["data"] == replies[1].json()["data"]
    assert replies[1].headers["idempotent-replayed"] == "true"
    other = {**body, "payload": {"number": 1}}
    reply = await callers.send("user", "POST", JOBS, json=other, headers=headers)
    assert reply.status_code == 422
    assert len(await ids(callers, "user")) == 1


async def test_users_list_their_own_jobs_and_admins_all(callers: Callers) -> None:
    service = callers.service
    own, others = await waiting_job(service), await waiting_job(service, "other")
    assert await ids(callers, "user") == [str(own.job_id)]
    assert await ids(callers, "other") == [str(others.job_id)]
    assert {str(own.job_id), str(others.job_id)} <= set(await ids(callers, "admin"))
    for query in ({"owner_id": str(service.populated.ids["other"])}, {"sort": "owner_id"}):
        reply = await callers.send("user", "GET", JOBS, params=query)
        assert reply.status_code == 422 or [job["id"] for job in reply.json()["data"]["items"]] == [
            str(own.job_id)
        ]


async def test_a_list_is_filtered_sorted_and_paged(callers: Callers) -> None:
    drivers = [await waiting_job(callers.service) for _ in range(3)]
    found = [str(driver.job_id) for driver in drivers]
    await drivers[1].succeed()
    assert await ids(callers, "user") == found[::-1]
    assert await ids(callers, "user", sort="id") == found
    assert await ids(callers, "user", sort="id", limit="2", page="2") == found[2:]
    assert await ids(callers, "user", status="succeeded") == [found[1]]
    assert await ids(callers, "user", status="queued", sort="id") == [found[0], found[2]]
    assert await ids(callers, "user", kind="maintenance.purge", sort="id") == found
    assert await ids(callers, "user", kind=ECHO) == []
    for query in ({"status": "lost"}, {"kind": "A B"}, {"sort": "payload"}, {"limit": "101"}):
        reply = await callers.send("user", "GET", JOBS, params=query)
        assert reply.status_code == 422, query


@pytest.mark.parametrize(
    ("method", "end"), [("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events")]
)
async def test_a_job_of_somebody_else_is_answered_like_one_that_there_is_not(
    callers: Callers, method: str, end: str
) -> None:
    known = await waiting_job(callers.service)
    before = await callers.service.rows("jobs")
    found = set()
    for job_id in (known.job_id, 0, 1, (1 << 63) - 1, 10**18):
        reply = await callers.send("other", method, f"{JOBS}/{job_id}{end}", headers=TRACE_ID)
        found.add((reply.status_code, reply.content))
    assert [code for code, _ in found] == [404]
    for role in ("nobody", "scoped", "disabled"):
        assert (await callers.send(role, method, f"{known.path}{end}")).status_code == 401
    assert await callers.service.rows("jobs") == before


async def test_a_job_that_waits_is_cancelled_and_can_be_put_back(callers: Callers) -> None:
    driver = await waiting_job(callers.service)
    reply = await callers.send("user", "POST", f"{driver.path}/cancel")
    assert (reply.status_code, reply.json()["data"]["status"]) == (200, "cancelled")
    reply = await callers.send("user", "POST", f"{driver.path}/cancel")
    assert (reply.status_code, reply.json()["message"]) == (409, "the job is finished")
    reply = await callers.send("admin", "POST", f"{driver.path}/retry")
    assert (reply.status_code, reply.json()["data"]["status"]) == (200, "queued")
    actions = [event["action"] for event in await callers.service.events()]
    assert actions[-2:] == ["job.cancel", "job.retry"]


async def test_a_job_that_runs_is_asked_to_stop_and_cannot_be_put_back(callers: Callers) -> None:
    driver = await waiting_job(callers.service)
    await driver.start()
    reply = await callers.send("user", "POST", f"{driver.path}/retry")
    assert (reply.status_code, reply.json()["code"]) == (409, 40009)
    reply = await callers.send("user", "POST", f"{driver.path}/cancel")
    assert reply.status_code == 200
    assert reply.json()["data"]["status"] == "running"
    assert reply.json()["data"]["cancel_requested"] is True


async def test_a_job_that_has_succeeded_is_neither_cancelled_nor_put_back(
    callers: Callers,
) -> None:
    driver = await waiting_job(callers.service)
    await driver.succeed()
    for verb in ("cancel", "retry"):
        reply = await callers.send("user", "POST", f"{driver.path}/{verb}")
        assert reply.status_code == 409, verb
    assert await status(callers, driver) == "succeeded"


async def test_a_job_that_has_failed_says_why_and_can_be_put_back(callers: Callers) -> None:
    driver = await waiting_job(callers.service)
    await driver.fail()
    reply = await callers.send("user", "GET", driver.path)
    assert reply.json()["data"]["error"] == "cannot be done"
    assert (await callers.send("user", "POST", f"{driver.path}/retry")).status_code == 200


async def test_the_dispatcher_is_told_at_once(service: Replica, callers: Callers) -> None:
    reply = await submit(callers, payload={"number": 7})
    stream = await callers.send("user", "GET", f"{JOBS}/{reply.json()['data']['id']}/events")
    assert "event: succeeded" in stream.text
    reply = await callers.send("user", "GET", f"{JOBS}/{reply.json()['data']['id']}")
    assert reply.json()["data"]["result"] == {"text": "", "number": 7}
    assert len(service.resources.job_watch) == 0
