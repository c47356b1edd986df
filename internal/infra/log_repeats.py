"""A bound for what is said again and again: a fault that every request meets, for instance."""

import time
from collections.abc import Hashable

MAX_A_WINDOW = 100
WINDOW_SECONDS = 1.0

# The logger's name first, then what else tells one place of the code from another.
type Place = tuple[str, Hashable]


class Repeats:
    """Counts events by their place; true while some were not admitted and nobody was told."""

    def __init__(self) -> None:
        self._started = 0.0
        self._counts: dict[Place, int] = {}
        self._left_out: dict[Place, int] = {}

    def __bool__(self) -> bool:
        return bool(self._left_out)

    def admit(self, place: Place) -> bool:
        now = time.monotonic()
        if now - self._started >= WINDOW_SECONDS:
            self._started = now
            self._counts.clear()
        count = self._counts[place] = self._counts.get(place, 0) + 1
        if count > MAX_A_WINDOW:
            self._left_out[place] = self._left_out.get(place, 0) + 1
        return count <= MAX_A_WINDOW

    def ended(self, *, is_over: bool) -> list[tuple[Place, int]]:
        """How many were not admitted, once their window has ended, or everything does."""
        if not self._left_out or not (
            is_over or time.monotonic() - self._started >= WINDOW_SECONDS
        ):
            return []
        told = list(self._left_out.items())
        self._left_out.clear()
        return told
