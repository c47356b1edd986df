"""The clock of what a process remembers, in the hands of a test."""

from dataclasses import dataclass


@dataclass
class Clock:
    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds
