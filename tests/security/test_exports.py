"""Exports hold what only admins may see: how they are handed out."""

import asyncio
import csv
import io

import pytest

from internal.core.caller import OPERATOR
from internal.core.job_status import JobStatus
from tests.security.accounts import Person, Replica

pytestmark = pytest.mark.anyio

SECONDS = 60


@pytest.fixture
async def admin(service: Replica) -> Person:
    return await service.login("admin")


async def export(service: Replica, admin: Person) -> str:
    """The id of a job that has succeeded."""
    reply = await service.http.post(
        "/v1/jobs", json={"kind": "audit.export"}, headers=admin.headers
    )
    assert reply.status_code == 202
    job_id: str = reply.json()["data"]["id"]
    async with asyncio.timeout(SECONDS):
        while not await is_done(service, int(job_id)):
            await asyncio.sleep(0.05)
    return job_id


async def is_done(service: Replica, job_id: int) -> bool:
    return JobStatus((await service.services.jobs.get(OPERATOR, job_id)).status).is_final


async def test_an_admin_downloads_the_file_and_no_browser_opens_it(
    service: Replica, admin: Person
) -> None:
    job_id = await export(service, admin)
    reply = await service.http.get(f"/v1/jobs/{job_id}/export", headers=admin.headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == f'attachment; filename="export-{job_id}.csv"'
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert {row["action"] for row in rows} >= {"user.create"}


async def test_nobody_else_learns_whether_there_is_one(service: Replica, admin: Person) -> None:
    job_id = await export(service, admin)
    user = await service.login("user")
    for one, headers, status in (
        (job_id, user.headers, 403),
        ("42", user.headers, 403),
        (job_id, {}, 401),
        ("42", admin.headers, 404),
    ):
        reply = await service.http.get(f"/v1/jobs/{one}/export", headers=headers)
        assert reply.status_code == status


async def test_a_file_that_was_deleted_is_not_found(service: Replica, admin: Person) -> None:
    job_id = await export(service, admin)
    path = await service.services.exports.find(OPERATOR, int(job_id))
    path.unlink()
    reply = await service.http.get(f"/v1/jobs/{job_id}/export", headers=admin.headers)
    assert reply.status_code == 404


async def test_users_cannot_ask_for_an_export(service: Replica) -> None:
    user = await service.login("user")
    reply = await service.http.post("/v1/jobs", json={"kind": "audit.export"}, headers=user.headers)
    assert (reply.status_code, reply.json()["data"][0]["type"]) == (422, "unknown_kind")


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "1.csv", "-1", "%00", "../jobs"])
async def test_no_path_leads_out_of_the_folder(service: Replica, admin: Person, name: str) -> None:
    reply = await service.http.get(f"/v1/jobs/{name}/export", headers=admin.headers)
    assert reply.status_code in (404, 422)
