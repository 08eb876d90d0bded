"""Decoding in a thread of its own, on a stream of its own, so that steps go on meanwhile."""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from threading import Condition, Thread, current_thread

import torch

from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from engine.steps.rows import Launched, Said

MOST_WAIT_S = 0.1
"""A step waits no longer for others to be decoded with, unless the thread is busy."""

_LOOK_UP_S = 0.1
"""While somebody else is alone with the models, it is looked so often whether to leave."""

Decode = Callable[[Sequence[Launched]], list[Said]]
"""What the rows of some steps say; they are decoded together."""


class DecodingBeside:
    """Decodes steps as they pile up, again and again, as many at once as are best decoded together.

    A batch takes about as long when half of its places are empty. So a step waits for others, but not for
    long, and not when none will come.
    """

    def __init__(self, decode: Decode, bundle: LoadedBundle, *, rows_together: int) -> None:
        """Begin with nothing to do.

        Args:
            decode: called in the thread.
            bundle: the models.
            rows_together: decoded rows of steps that are best decoded at once.
        """
        self._decode, self._bundle, self._rows_together = decode, bundle, rows_together
        self._waiting: deque[tuple[Launched, Future[Said]]] = deque()
        self._is_leaving = False
        self._hurries = False
        self._changed = Condition()
        self._thread: Thread | None = None

    def __call__(self, launched: Launched) -> "Future[Said]":
        """Have a step decoded; the future also says what went wrong with it."""
        said: Future[Said] = Future()
        with self._changed:
            if self._thread is None:
                self._thread = Thread(target=self._work, name="decoding", daemon=True)
                self._thread.start()
            self._waiting.append((launched, said))
            self._hurries = False
            self._changed.notify()
        return said

    def hurry(self) -> None:
        """Have no step wait for others: for now there will be none."""
        with self._changed:
            self._hurries = True
            self._changed.notify()

    def close(self) -> None:
        """Leave what waits undone, and wait for the thread to end, unless it is itself what lets go last."""
        with self._changed:
            self._is_leaving = True
            self._changed.notify()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join()

    def _work(self) -> None:
        self._bundle.use_threads()
        device = self._bundle.device
        if device.type != "cuda":
            self._decode_all(None)
            return
        stream = _stream(device)
        with torch.cuda.stream(stream):
            self._decode_all(stream)

    def _decode_all(self, stream: "torch.cuda.Stream | None") -> None:
        while (steps := self._next()) and self._comes_to_be_alone():
            try:
                self._answer(steps, stream)
            finally:
                ALONE.release()
            del steps

    def _comes_to_be_alone(self) -> bool:
        """Wait for that; not when this is to leave, for who waits for its end may be alone."""
        while not ALONE.acquire(timeout=_LOOK_UP_S):
            if self._is_leaving:
                return False
        return True

    def _next(self) -> "list[tuple[Launched, Future[Said]]]":
        """Some steps that wait, the first ones, but for those that nobody waits for; none: leave."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_leaving)
                self._changed.wait_for(self._is_time, timeout=MOST_WAIT_S)
                if self._is_leaving:
                    return []
                steps = self._first_ones()
            if steps:
                return steps

    def _is_time(self) -> bool:
        """Whether to begin with what waits."""
        rows = sum(launched.decoded_rows for launched, said in self._waiting if not said.cancelled())
        return self._is_leaving or self._hurries or rows >= self._rows_together

    def _first_ones(self) -> "list[tuple[Launched, Future[Said]]]":
        """No longer let so many steps wait as are best decoded together, or the first."""
        steps: list[tuple[Launched, Future[Said]]] = []
        rows = 0
        while self._waiting:
            rows += 0 if self._waiting[0][1].cancelled() else self._waiting[0][0].decoded_rows
            if steps and rows > self._rows_together:
                break
            step = self._waiting.popleft()
            if step[1].set_running_or_notify_cancel():
                steps.append(step)
        return steps

    def _answer(
        self, steps: "Sequence[tuple[Launched, Future[Said]]]", stream: "torch.cuda.Stream | None"
    ) -> None:
        found = self._said_or_error([launched for launched, _ in steps], stream)
        if not isinstance(found, Exception):
            for (_, said), answer in zip(steps, found, strict=True):
                said.set_result(answer)
        elif len(steps) == 1:
            steps[0][1].set_exception(found)
        else:
            for step in steps:  # the error is of one of them: the others have their texts
                self._answer([step], stream)

    def _said_or_error(
        self, steps: Sequence[Launched], stream: "torch.cuda.Stream | None"
    ) -> list[Said] | Exception:
        """What the steps say, or why not: an error without its frames, which know all that the runs hold."""
        try:
            return self._said(steps, stream)
        except Exception as error:
            error.add_note("".join(traceback.format_tb(error.__traceback__)))
            return error.with_traceback(None)

    def _said(self, steps: Sequence[Launched], stream: "torch.cuda.Stream | None") -> list[Said]:
        for launched in steps:
            launched.sent.transfer.wait()  # for all that was launched with it, on whatever stream
        try:
            return self._decode(steps)
        finally:  # what is left of it after an error, too
            if stream is not None:
                stream.synchronize()  # only then may what was read be freed, which belongs to another stream


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
