"""Steps a second, measured from steps as they arrive."""

from collections import deque

_WINDOW_S = 5.0
_SHORTEST_S = 0.3
"""Two readings closer than this say nothing: steps arrive in handfuls."""


class StepRate:
    """Mean rate over the last seconds of arrivals."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int]] = deque()

    def restart(self) -> None:
        """Forget what was measured: the run was paused, or another one is looked at."""
        self._arrivals.clear()

    def arrived(self, step: int, at_s: float) -> None:
        """Note that `step` was the newest one at a moment of a monotonic clock."""
        self._arrivals.append((at_s, step))
        while len(self._arrivals) > 2 and at_s - self._arrivals[1][0] >= _WINDOW_S:
            self._arrivals.popleft()

    @property
    def steps_per_second(self) -> float | None:
        """The rate, or None when too little has arrived to tell."""
        if len(self._arrivals) < 2:
            return None
        (first_s, first), (last_s, last) = self._arrivals[0], self._arrivals[-1]
        if last_s - first_s < _SHORTEST_S or last <= first:
            return None
        return (last - first) / (last_s - first_s)
