"""Bare Celery: tasks that do to the rows what our worker does, with nothing around it.

`python -m tests.benchmarks.jobs_bare`: a worker of two processes, on the environment's settings.
"""

from typing import TYPE_CHECKING

from celery import Celery, signals
from sqlalchemy import BigInteger, Column, Engine, MetaData, Table, create_engine, insert, update
from sqlalchemy.orm import Session

from internal.config.load_config import load_config
from internal.core.clock import utc_now
from internal.core.job_status import JobStatus
from internal.infra.celery import broker_url
from internal.infra.database import connect_args, database_url, engine_options
from internal.models.job import Job
from internal.models.job_event import JobEvent

if TYPE_CHECKING:
    from internal.config.settings import Settings

QUEUE = "bare"
TASK = "bare.run"
EFFECTS = Table("effects", MetaData(), Column("job_id", BigInteger, primary_key=True))


class Tasks:
    """The task and, in each child, its engine."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._engine: Engine | None = None

    def open(self, **_: object) -> None:
        settings = self._settings
        self._engine = create_engine(
            database_url(settings, driver="pymysql"),
            connect_args=connect_args(settings),
            pool_size=2,
            **engine_options(settings),
        )

    def run(self, job_id: int) -> None:
        assert self._engine is not None
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            moved = update(Job).where(Job.id == job_id, Job.status == JobStatus.QUEUED)
            session.execute(
                moved.values(
                    status=JobStatus.RUNNING, attempt=Job.attempt + 1, events=Job.events + 1
                )
            )
            job = session.get_one(Job, job_id)
            session.add(_event(job, job.events))
        with Session(self._engine) as session, session.begin():
            moved = update(Job).where(Job.id == job_id, Job.attempt == job.attempt)
            session.execute(
                moved.values(
                    status=JobStatus.SUCCEEDED, finished_at=utc_now(), events=Job.events + 1
                )
            )
            session.add(_event(job, job.events + 1))
            session.execute(insert(EFFECTS).values(job_id=job_id))


def _event(job: Job, sequence: int) -> JobEvent:
    return JobEvent(
        job_id=job.id, sequence=sequence, status=job.status, attempt=job.attempt, at=utc_now()
    )


def create_bare(settings: "Settings") -> Celery:
    app = Celery("bare", broker=broker_url(settings), set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
    )
    return app


def main() -> None:
    settings = load_config().settings
    app, tasks = create_bare(settings), Tasks(settings)
    app.task(name=TASK)(tasks.run)
    signals.worker_process_init.connect(tasks.open)
    app.Worker(
        pool_cls="prefork",
        concurrency=2,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    ).start()


if __name__ == "__main__":
    main()
