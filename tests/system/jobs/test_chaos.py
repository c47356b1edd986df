"""Every accepted job succeeds, and has its effect once, whatever dies in between."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import MariaDB, Redis, Server, require
from tests.system.jobs import chaos
from tests.system.jobs.rabbitmq import RabbitMQ

SECONDS = 600


@pytest.mark.parametrize(
    ("broker", "jobs", "kills"),
    [("redis", 500, 8), ("rabbitmq", 200, 4)],
    ids=["redis", "rabbitmq"],
)
def test_accepted_jobs_happen_once_while_everything_dies(
    tmp_path: Path,
    broker: str,
    jobs: int,
    kills: int,
    record_property: Callable[[str, object], None],
) -> None:
    needed: list[type[Server]] = [MariaDB, Redis, *([RabbitMQ] if broker == "rabbitmq" else [])]
    for server in needed:
        require(server)
    outcome = chaos.run(tmp_path, jobs, kills, SECONDS, broker)
    record_property(f"jobs over {broker}", str(outcome))
    assert len(outcome.accepted) == jobs
    assert outcome.is_right, str(outcome)
