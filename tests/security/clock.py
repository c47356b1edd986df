"""The clock of what a process remembers, in the hands of a test."""

import time
from dataclasses import dataclass


@dataclass
class Clock:
    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    @staticmethod
    def time() -> float:
        """Goes on by itself."""
        return time.time()
