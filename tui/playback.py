"""The clock of a replay: which row is shown when, at which speed."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from enum import Enum

from engine.errors import UserError

STEPS_PER_SECOND = 10.0
"""What 1× means: so many steps of the run in a second."""

_ROUNDING = 1e-6
"""Part of a step, or of a millisecond, that floating point may lack."""


class Speed(Enum):
    """How fast a replay is played; the value is how it is written on the command line."""

    RECORDED = "recorded"
    QUARTER = "0.25"
    HALF = "0.5"
    X1 = "1"
    X2 = "2"
    X5 = "5"
    X10 = "10"
    X20 = "20"
    X50 = "50"
    X100 = "100"

    def __str__(self) -> str:
        return {Speed.RECORDED: "as recorded", Speed.QUARTER: "¼×", Speed.HALF: "½×"}.get(
            self, f"{self.value}×"
        )


_FROM_SLOW_TO_FAST = tuple(Speed)


def parse_speed(text: str) -> Speed:
    """The speed that somebody wrote: `10`, `0.25`, `recorded`, a trailing `x` or `×` allowed.

    Raises:
        UserError: it is none of them.
    """
    try:
        return Speed(text.strip().lower().rstrip("x×"))
    except ValueError:
        allowed = ", ".join(speed.value for speed in (*_FROM_SLOW_TO_FAST[1:], Speed.RECORDED))
        raise UserError(f"speed: {text[:20]!r}: allowed are {allowed}") from None


class Playback:
    """Where a replay is: the position of a row among a run's rows, moved by a clock while it plays."""

    def __init__(
        self,
        steps: Sequence[int],
        elapsed_ms: Sequence[float],
        clock: Callable[[], float],
        *,
        speed: Speed = Speed.X1,
    ) -> None:
        """Stand at the first row.

        Args:
            steps: The step of each row, ascending; at least one.
            elapsed_ms: Recorded milliseconds until each row was there; all 0 where none were recorded.
            clock: Seconds that only go forward.
            speed: How fast it plays; where no times were recorded, `RECORDED` becomes 1×.
        """
        self._steps = steps
        self._elapsed_ms = elapsed_ms
        self._clock = clock
        self.has_times = elapsed_ms[-1] > 0
        """Whether it can be played as recorded."""

        self.speed = speed if self.has_times or speed is not Speed.RECORDED else Speed.X1
        self.position = 0
        """Index of the row that is shown."""

        self.is_playing = False
        self._started_s = 0.0
        self._started_along = 0.0

    @property
    def last(self) -> int:
        """The last position."""
        return len(self._steps) - 1

    def play(self) -> None:
        """Go on from here; from the last row start again at the first."""
        if self.position == self.last:
            self.position = 0
        self.is_playing = self.last > 0
        self._start_from_here()

    def pause(self) -> None:
        """Stay at the row that is shown."""
        self.is_playing = False

    def seek(self, position: int) -> None:
        """Go to a row, the nearest that there is; playing goes on from there, unless it is the last."""
        self.position = min(max(position, 0), self.last)
        self.is_playing = self.is_playing and self.position < self.last
        self._start_from_here()

    def step(self, rows: int) -> None:
        """Pause, and go so many rows on, or back where it is negative."""
        self.pause()
        self.seek(self.position + rows)

    def change_speed(self, *, faster: bool) -> bool:
        """Take the next speed, and say whether there was one."""
        speeds = _FROM_SLOW_TO_FAST if self.has_times else _FROM_SLOW_TO_FAST[1:]
        place = speeds.index(self.speed) + (1 if faster else -1)
        if not 0 <= place < len(speeds):
            return False
        self.advance()
        self.speed = speeds[place]
        self._start_from_here()
        return True

    def advance(self) -> bool:
        """Go to the row whose turn it is by now, pausing at the last, and say whether that is another one."""
        if not self.is_playing:
            return False
        before = self.position
        along = self._started_along + (self._clock() - self._started_s) * self._rate
        self.position = max(bisect_right(self._axis, along + _ROUNDING) - 1, before)
        self.is_playing = self.position < self.last
        return self.position != before

    def _start_from_here(self) -> None:
        self._started_s, self._started_along = self._clock(), self._axis[self.position]

    @property
    def _axis(self) -> Sequence[float]:
        """Where each row lies on what the clock moves along: steps, or recorded milliseconds."""
        return self._elapsed_ms if self.speed is Speed.RECORDED else self._steps

    @property
    def _rate(self) -> float:
        """How far along that it goes in a second."""
        return 1000.0 if self.speed is Speed.RECORDED else STEPS_PER_SECOND * float(self.speed.value)
