"""The twin of Celery and its workers: the task manager of the replica that dispatches."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from internal.infra.task_manager import TaskManager
from internal.services.jobs.dispatcher import Publish


def embedded_publish(tasks: TaskManager, run: Callable[[int], Awaitable[object]]) -> Publish:
    """Hands jobs over to the task manager.

    Every handover is a task of its own: an id that is used again is refused while the last
    attempt's is remembered. Twice at once, a job is claimed once.
    """
    handovers = itertools.count()

    async def publish(jobs: Sequence[tuple[int, str]]) -> None:
        for job_id, _queue in jobs:
            tasks.submit(f"job-{job_id}-{next(handovers)}", partial(run, job_id))

    return publish
