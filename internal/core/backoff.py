import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often work is tried, and how long it rests in between.

    Args:
        max_attempts: the first one counts.
        first: the rest after the first attempt; it doubles with each one.
        longest: no rest is longer.
    """

    max_attempts: int = 5
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(hours=1)

    def rest(self, attempt: int) -> timedelta:
        """How long to rest after this attempt, counted from 1: half to all of the doubled time.

        The jitter keeps what has failed together from coming back together.
        """
        doubled = self.first * 2.0 ** min(attempt - 1, 32)
        return min(doubled, self.longest) * random.uniform(0.5, 1)  # noqa: S311 - no secret
