"""Is the line to the terminal slow? Told by what waits to be sent."""

from dataclasses import dataclass

_FILLED = 8
"""Writes that wait; the terminal's queue takes 30, and beyond that everything waits for the line."""

_HOLD = 16
"""So many that nothing is painted until some are gone: the loop never waits for the line."""

_SLOW_AFTER_S = 1.0
_FAST_AFTER_S = 3.0


@dataclass
class LinkWatch:
    """Looks at the length of the queue now and then."""

    is_slow: bool = False
    """It stayed filled; painting less often lets it drain."""

    is_held: bool = False
    """It is so full that nothing more should be painted now."""

    _filled_since_s: float | None = None
    _empty_since_s: float | None = None

    def look(self, waiting: int, at_s: float) -> None:
        """Take a look.

        Args:
            waiting: Writes that wait to be sent.
            at_s: When, on a clock that only goes forward.
        """
        self.is_held = waiting >= _HOLD
        if waiting >= _FILLED:
            self._empty_since_s = None
            if self._filled_since_s is None:
                self._filled_since_s = at_s
            self.is_slow = self.is_slow or self.is_held or at_s - self._filled_since_s >= _SLOW_AFTER_S
            return
        self._filled_since_s = None
        if waiting:
            self._empty_since_s = None
        elif self._empty_since_s is None:
            self._empty_since_s = at_s
        elif at_s - self._empty_since_s >= _FAST_AFTER_S:
            self.is_slow = False
