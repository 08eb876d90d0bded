"""The loss of a whole trajectory in a bounded number of buckets, however long it gets."""

import math

from tui.sparkline import Range

_MAX_BUCKETS = 512


class LossCurve:
    """Lowest and highest loss of equal stretches of steps; adding a step costs the same at any length."""

    def __init__(self) -> None:
        self._buckets: list[Range | None] = []
        self._steps_per_bucket = 1
        self._steps_in_last = 0
        self.last: float | None = None
        """Loss of the newest step; None when it is not finite, or there is none."""

    def append(self, loss: float | None) -> None:
        """Add the loss of the next step."""
        if loss is not None and not math.isfinite(loss):
            loss = None
        self.last = loss
        if not self._buckets or self._steps_in_last == self._steps_per_bucket:
            if len(self._buckets) == _MAX_BUCKETS:
                self._halve()
            self._buckets.append(None)
            self._steps_in_last = 0
        self._steps_in_last += 1
        if loss is not None:
            self._buckets[-1] = _joined(self._buckets[-1], (loss, loss))

    @property
    def ranges(self) -> list[Range | None]:
        """The buckets, first to last; None where no loss was finite."""
        return self._buckets

    @property
    def span(self) -> Range | None:
        """Lowest and highest loss of all; None when there is none."""
        known = [bucket for bucket in self._buckets if bucket is not None]
        if not known:
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    def _halve(self) -> None:
        pairs = zip(self._buckets[::2], self._buckets[1::2], strict=True)
        self._buckets = [_joined(first, second) for first, second in pairs]
        self._steps_per_bucket *= 2
        self._steps_in_last = self._steps_per_bucket


def _joined(first: Range | None, second: Range | None) -> Range | None:
    if first is None or second is None:
        return first or second
    return min(first[0], second[0]), max(first[1], second[1])
