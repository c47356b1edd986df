"""What the operations page asks the database, on each that there is."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.dao.leases import LeaseDAO
from internal.models.lease import Lease
from internal.services.operations import overview
from internal.services.scheduling import LEASE
from tests.integration.jobs.house import DEAD, QUEUED, SUCCEEDED, House

pytestmark = pytest.mark.anyio


async def test_an_operator_sees_queues_dead_jobs_the_lag_and_who_leads(house: House) -> None:
    due = utc_now() - timedelta(hours=1)
    jobs = [await house.enqueue(next_run_at=due) for _ in range(4)]
    for job, status in zip(jobs, (DEAD, DEAD, SUCCEEDED, QUEUED), strict=True):
        await house.set(job.id, status=status)
    async with house.unit_of_work.begin() as session:
        await session.execute(delete(Lease).where(Lease.name == LEASE))
        await LeaseDAO(session).insert(LEASE, "the leader", timedelta(hours=1))
    seen = await overview(house.unit_of_work, OPERATOR)
    assert seen.queues == [("default", DEAD, 2), ("default", QUEUED, 1)]
    assert [job.id for job in seen.dead] == [jobs[1].id, jobs[0].id]
    assert seen.dead_total == 2
    assert 3500 < seen.outbox_lag_seconds < 7200
    assert seen.leader == "the leader"


async def test_nothing_to_see_is_no_error(house: House) -> None:
    async with house.unit_of_work.begin() as session:
        await session.execute(delete(Lease).where(Lease.name == LEASE))
    seen = await overview(house.unit_of_work, OPERATOR)
    assert (seen.queues, seen.dead, seen.dead_total) == ([], [], 0)
    assert (seen.outbox_lag_seconds, seen.leader) == (0.0, None)
