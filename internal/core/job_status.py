from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job is. It moves forward only, by compare-and-set; people can put it back."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it cannot succeed: another attempt would end alike
    CANCELLED = "cancelled"
    DEAD = "dead"  # its attempts are used up

    @property
    def is_final(self) -> bool:
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


# What `retry` puts back into the queue.
RETRIABLE = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.DEAD})
