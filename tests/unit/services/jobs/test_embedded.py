"""Jobs in the task manager: what is handed over is executed, also again."""

import asyncio

import anyio
import pytest

from internal.infra.task_manager import TaskLimits, TaskManagerFull, open_task_manager
from internal.services.jobs.embedded import embedded_publish

pytestmark = pytest.mark.anyio

DEADLINE = 60.0


async def test_a_job_that_is_handed_over_again_is_executed_again() -> None:
    executed: asyncio.Queue[int] = asyncio.Queue()
    async with open_task_manager(DEADLINE, TaskLimits(tasks=1, threads=1)) as tasks:
        publish = embedded_publish(tasks, executed.put)
        with anyio.fail_after(DEADLINE):
            for _ in range(3):
                await publish([(7, "default")])
                assert await executed.get() == 7


async def test_what_does_not_fit_is_not_handed_over() -> None:
    """The dispatcher keeps its entries then; a job of which there are two tasks runs once."""
    async with open_task_manager(0, TaskLimits(tasks=1, threads=1, waiting=0)) as tasks:
        tasks.submit("busy", anyio.sleep_forever)
        publish = embedded_publish(tasks, asyncio.Queue[int]().put)
        with pytest.raises(TaskManagerFull):
            await publish([(7, "default")])
