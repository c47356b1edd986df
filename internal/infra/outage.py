from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loguru import Logger


class Outage:
    """Something that does not work now. Said once, and once more when it works again.

    Args:
        over: what is said at its end.
    """

    def __init__(self, log: "Logger", over: str) -> None:
        self._log = log
        self._over = over
        self.is_on = False

    def begin(self, text: str) -> None:
        """Nothing is said where it goes on."""
        if not self.is_on:
            self._log.warning("{}", text)
        self.is_on = True

    def end(self) -> None:
        """Nothing is said where there was none."""
        if self.is_on:
            self._log.info(self._over)
        self.is_on = False
