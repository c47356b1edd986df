"""The twin of Celery and its workers: the task manager of the replica that dispatches."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from internal.infra.task_manager import DuplicateTask, TaskManager
from internal.services.jobs.dispatcher import Publish


def embedded_publish(tasks: TaskManager, run: Callable[[int], Awaitable[object]]) -> Publish:
    """Hands jobs over to the task manager."""

    async def publish(jobs: Sequence[tuple[int, str]]) -> None:
        for job_id, _queue in jobs:
            with suppress(DuplicateTask):  # it runs already
                tasks.submit(f"job-{job_id}", partial(run, job_id))

    return publish
