"""What the leader tells of the jobs that are not done with."""

from datetime import timedelta

import pytest

from internal.core.clock import utc_now
from internal.infra.metrics import OTHER, Labels, Metrics
from internal.services.jobs.backlog import Backlog
from tests.integration.jobs.house import DEAD, NAME, QUEUED, RUNNING, SUCCEEDED, House

pytestmark = pytest.mark.anyio


def told(metrics: Metrics, name: str) -> dict[Labels, float]:
    family = metrics.snapshot().families[name]
    return {labels: series.figures[0] for labels, series in family.items()}


async def test_the_leader_tells_depth_and_lag_until_it_leads_no_more(house: House) -> None:
    metrics = Metrics()
    backlog = Backlog(metrics, {NAME})
    due = utc_now() - timedelta(hours=1)
    for status in (QUEUED, QUEUED, RUNNING, DEAD, SUCCEEDED):
        job = await house.enqueue(next_run_at=due)
        await house.set(job.id, status=status)
    for number in range(2):
        await house.enqueue(kind=f"of.a.newer.release.{number}")

    await house.write(lambda session: backlog.tell(session, due))
    assert told(metrics, "job_queue_depth") == {
        (NAME, QUEUED): 2,
        (NAME, RUNNING): 1,
        (NAME, DEAD): 1,
        (OTHER, QUEUED): 2,
    }
    assert 3500 < told(metrics, "outbox_lag_seconds")[()] < 7200

    backlog.forget()
    assert told(metrics, "job_queue_depth") == told(metrics, "outbox_lag_seconds") == {}
