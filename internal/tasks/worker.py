"""`groundwork worker`: Celery's prefork pool, whose children execute jobs."""

import multiprocessing
import os
import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.worker import WorkController
from celery.worker import state as worker_state
from loguru import logger

from internal.infra.celery import RUN_JOB
from internal.infra.stop_signals import STOP_SIGNALS
from internal.tasks.process import OpenRun, WorkerProcess
from internal.tasks.recovery import ConnectAnewStep

if TYPE_CHECKING:
    from celery import Celery

POLL_SECONDS = 0.2
# What Celery's own limit adds to the longest a job may take, which the job's own timeout ends.
LIMIT_MARGIN_SECONDS = 60.0

_log = logger.bind(logger="worker")


class Worker:
    """A worker and its children.

    Args:
        app: without tasks.
        open_run: what each child opens for itself.
        grace: seconds that the jobs at hand get to finish at a stop, before they are given back.
        longest: seconds that a job may take.
    """

    def __init__(self, app: "Celery", open_run: OpenRun, *, grace: float, longest: float) -> None:
        self._app = app
        self._open_run = open_run
        self._grace = grace
        self._child: WorkerProcess | None = None
        # Set by the parent, seen by the children: when jobs at hand are to be given back.
        self._give_back_at = multiprocessing.Value("d", 0.0, lock=False)
        app.conf.task_time_limit = longest + LIMIT_MARGIN_SECONDS
        app.steps["consumer"].add(ConnectAnewStep)
        app.task(name=RUN_JOB)(self._run_job)

    def run(self, queues: list[str], concurrency: int) -> int:
        """Works until SIGTERM or SIGINT; returns the exit code."""
        signals.setup_logging.connect(_keep_logging)
        signals.worker_process_init.connect(self._start_child)
        signals.worker_process_shutdown.connect(self._close_child)
        controller = WorkController(
            app=self._app,
            pool_cls="prefork",
            queues=queues,
            concurrency=concurrency,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            ready_callback=lambda _consumer: _log.info("ready"),
        )
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        controller.start()
        return int(controller.exitcode or 0)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Takes no more jobs; a second signal does not hurry it."""
        if not self._give_back_at.value:
            self._give_back_at.value = time.monotonic() + self._grace
            worker_state.should_stop = os.EX_OK

    # --- in the children ------------------------------------------------------------------------

    def _start_child(self, **_: Any) -> None:  # noqa: ANN401 - Celery's signals
        self._child = WorkerProcess(self._open_run)
        self._child.start()
        threading.Thread(target=self._watch, name="stop", daemon=True).start()

    def _close_child(self, **_: Any) -> None:  # noqa: ANN401
        if self._child is not None:
            self._child.close()
        logger.remove()  # writes the lines that wait: billiard ends children without further ado

    def _watch(self) -> None:
        """Gives the job at hand back when the grace of a stop is over."""
        while not 0 < self._give_back_at.value <= time.monotonic():
            time.sleep(POLL_SECONDS)
        if self._child is not None:
            self._child.give_back()

    def _run_job(self, job_id: object) -> None:
        if not isinstance(job_id, int) or self._child is None:
            _log.error("not a job id: {!r:.100}", job_id)
            return
        self._child.execute(job_id)


def _keep_logging(**_: Any) -> None:  # noqa: ANN401
    """Celery leaves logging alone where somebody listens to this signal."""
