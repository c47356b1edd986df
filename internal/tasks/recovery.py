"""A worker whose acknowledgements were lost with the broker connects anew.

kombu 5.7's Redis transport does not listen while as many messages are unacknowledged as may be
taken at once. When Redis goes away at that moment, their acknowledgements fail, nothing frees their
places any more, and the worker would never notice that the connection is gone.
"""

from typing import Any

from celery import bootsteps
from celery.worker import state

CHECK_SECONDS = 1.0


class ConnectAnewStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Looks whether no message may be taken though none is being worked on, twice in a row."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:  # noqa: ANN401
        self._was_stuck = False
        self._timer: Any = None
        super().__init__(consumer)

    def start(self, consumer: Any) -> None:  # noqa: ANN401
        self._was_stuck = False
        self._timer = consumer.timer.call_repeatedly(CHECK_SECONDS, self._check, (consumer,))

    def stop(self, _consumer: Any) -> None:  # noqa: ANN401
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, consumer: Any) -> None:  # noqa: ANN401
        qos = getattr(consumer.task_consumer.channel, "qos", None)  # RabbitMQ's has none
        is_stuck = qos is not None and not qos.can_consume() and not state.reserved_requests
        if is_stuck and self._was_stuck:
            # Raised in the loop, where Celery takes it for what it is: a connection that broke.
            consumer.hub.call_soon(_raise_lost)
        self._was_stuck = is_stuck


def _raise_lost() -> None:
    raise ConnectionError("acknowledgements were lost with the broker")
