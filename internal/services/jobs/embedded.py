"""The twin of Celery and its workers: the task manager of the replica that dispatches."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count

from internal.infra.task_manager import TaskManager
from internal.services.jobs.dispatcher import Publish


def embedded_publish(tasks: TaskManager, run: Callable[[int], Awaitable[object]]) -> Publish:
    """Hands jobs over to the task manager.

    Each time as a new task: the job's row tells what is executed, not whether the manager still
    remembers an earlier attempt.
    """
    numbers = count(1)

    async def publish(jobs: Sequence[tuple[int, str]]) -> None:
        for job_id, _queue in jobs:
            tasks.submit(f"job-{job_id}-{next(numbers)}", partial(run, job_id))

    return publish
