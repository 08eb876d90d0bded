"""A step captured once and replayed: one launch in place of some thousand, none of which waits for the host.

A captured step reads and writes the same places in memory each time. So whatever changes from step to step
lies in tensors that are written in place, and whatever the course of the step depends on besides is its
`course`: with another one it is captured anew. Of a course with tensors of several shapes, each has its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import torch

from engine.fast.alone import ALONE

Result = TypeVar("Result")

Replay = Callable[[], None]
"""Does again what was captured, to the same tensors."""


class Capture(Protocol):
    """Captures what a function does."""

    def __call__(self, function: Callable[[], Result], beside: Replay | None = None) -> tuple[Replay, Result]:
        """Return the replay, and the function's result, whose tensors a replay fills: nothing is done yet.

        Args:
            function: what is captured.
            beside: of what was captured before; both work in the same memory, and each overwrites what the
                other has left there, its result too.
        """


_CARD_IS_FULL = "CUDA error: out of memory"

MOST_SHAPES = 16
"""Shapes of a course that are kept captured; the one that was used longest ago makes room."""


def capture_on(device: torch.device, of: str = "steps") -> Capture | None:
    """How a step is captured on a device; None where there is no such thing.

    Args:
        device: that does it.
        of: what is captured. Replays of the same never run at the same time.
    """
    return _CudaCapture(device, of) if device.type == "cuda" else None


class _CudaCapture:
    """Captures on a stream that is only for this.

    Matrix products find the memory that they work in, flags among it, by the stream that they are captured
    on: of two graphs that run at the same time and share it, each may wait for the other for ever.
    """

    def __init__(self, device: torch.device, of: str) -> None:
        self._device, self._of = device, of

    def __call__(self, function: Callable[[], Result], beside: Replay | None = None) -> tuple[Replay, Result]:
        graph, stream = torch.cuda.CUDAGraph(), _capture_stream(self._device, self._of)
        pool = beside.graph.pool() if isinstance(beside, _CudaReplay) else None
        before = torch.cuda.current_stream(self._device)
        try:
            # Other threads may go on using the card: what they do is not captured, and no reason to give up.
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                result = function()
        except RuntimeError as error:
            torch.cuda.set_stream(before)  # where a capture cannot be ended, torch stays on its stream
            if _CARD_IS_FULL in str(error):  # the driver's word, who has to put the graph somewhere too
                raise torch.OutOfMemoryError(str(error)) from error
            raise
        return _CudaReplay(graph), result


@dataclass(frozen=True)
class _CudaReplay:
    graph: torch.cuda.CUDAGraph

    def __call__(self) -> None:
        self.graph.replay()


@cache
def _capture_stream(device: torch.device, of: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Repeated:
    """What is done again and again: plainly, or by a replay."""

    def __init__(self, capture: Capture | None, *, plainly_without_room: bool = True) -> None:
        """Args:
        capture: None: always plainly.
        plainly_without_room: whether what the memory holds plainly, but not captured, is done plainly from
            then on; if not, it is an error.
        """
        self._capture = capture
        self._plainly_without_room = plainly_without_room
        self._course: Hashable = None
        self._captured: OrderedDict[Hashable, tuple[Replay, Any] | None] = OrderedDict()
        """By shapes, those used last at the end; None where it has been done plainly, once."""
        self._has_no_room: set[Hashable] = set()
        """Shapes that the card's memory held plainly, but not captured."""

    def __call__(
        self, function: Callable[[], Result], *, course: Hashable, shapes: Hashable = None
    ) -> Result:
        """Do what a function does.

        The first time of a course and its shapes it is done plainly, for kernels prepare themselves when they
        first run; the second time it is captured, if the memory holds that.

        Args:
            function: the same for equal courses and shapes. Its result is overwritten by the next call.
            course: with another one than before, whatever was captured is let go of first: it holds as much
                memory as a step takes.
            shapes: of tensors, along the same course; several share the memory of the largest. What stands
                for them is kept as long as what was captured with them: it may hold tensors that are read.
        """
        if course != self._course:
            self._course = course
            self._captured.clear()
            self._has_no_room.clear()
        captured = self._captured_with(function, shapes)
        if captured is None:
            return self._plainly(function, shapes)
        replay, result = captured
        replay()
        filled: Result = result
        return filled

    def _plainly(self, function: Callable[[], Result], shapes: Hashable) -> Result:
        try:
            with ALONE:
                return function()
        except Exception:
            # Not all kernels have prepared themselves, which they cannot do while they are captured.
            self._captured.pop(shapes, None)
            self._has_no_room.discard(shapes)
            raise

    def _captured_with(self, function: Callable[[], Result], shapes: Hashable) -> tuple[Replay, Any] | None:
        if self._capture is None:
            return None
        is_new = shapes not in self._captured
        found = self._captured.setdefault(shapes, None)
        self._captured.move_to_end(shapes)
        while len(self._captured) > MOST_SHAPES:
            longest_ago, _ = self._captured.popitem(last=False)
            self._has_no_room.discard(longest_ago)
        if found is None and not is_new and shapes not in self._has_no_room:
            beside = next((replay for replay, _ in filter(None, self._captured.values())), None)
            try:
                with ALONE:
                    found = self._capture(function) if beside is None else self._capture(function, beside)
            except torch.OutOfMemoryError:
                if not self._plainly_without_room:
                    raise
                self._has_no_room.add(shapes)
            self._captured[shapes] = found
        return found
