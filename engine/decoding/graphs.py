"""Decoding in batches that keep their memory and shape, so that a step is one CUDA graph."""

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from engine.decoding.batch import Batch
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.fast.alone import ALONE
from engine.fast.graph import Capture, Repeated

FEWEST_POSITIONS = 24
MOST_BATCHES = 4
"""Shapes that are kept ready; the one that was used longest ago makes room."""

AHEAD = 2
"""Steps that the host may be ahead of the device: it then never waits for work, nor does much in vain."""


class GraphDecoder:
    """Decodes in batches of fixed shapes: rows are rounded up to powers of two, positions to these or 3/4.

    A call works on the current CUDA stream and waits for its result, alone with the models: what was captured
    on the same stream, by another decoder too, must not be replayed at the same time.
    The first call of a shape does its steps as they are, the first of them; then they are captured.
    """

    def __init__(self, decoder: IncrementalDecoder, capture: Capture | None) -> None:
        """Begin with no batch.

        Args:
            decoder: of the embeddings.
            capture: of steps; None: they are done as they are.
        """
        self.decoder = decoder
        self._capture = capture
        self._batches: OrderedDict[tuple[int, ...], _FixedBatch] = OrderedDict()
        self.nbytes = 0
        """Bytes of the keys and values of all batches: known at once, while texts are decoded too."""

    def __call__(
        self, embeddings: Tensor, rows: Rows, symbols: Symbols, *, beam: int, least: int = 1
    ) -> list[Tensor]:
        """Tokens of the texts of R embeddings, `</s>` included.

        Args:
            embeddings: in the weights' precision. # (R, D)
            rows: how their texts begin and end; on the CPU.
            symbols: of the vocabulary.
            beam: hypotheses kept for each row; 1 is greedy.
            least: rows that the batch has at least.

        Raises:
            FloatingPointError: logits are not numbers.
        """
        count, prompt_length = rows.prompts.shape
        last = int(rows.last.max())
        size, positions = _power_of_two(max(count, least)), positions_for(last)
        # Rows that fill up the batch end as soon as they can.
        filled = Rows(
            torch.cat([rows.prompts, rows.prompts[:1].expand(size - count, -1)]),
            torch.cat([rows.last, rows.last.new_full((size - count,), prompt_length)]),
        )
        sources = torch.cat([embeddings, embeddings.new_zeros(size - count, embeddings.shape[1])])
        key = (size, beam, positions, prompt_length)
        with ALONE:
            if key not in self._batches:
                batch = Batch(
                    self.decoder,
                    sources,
                    filled.to(sources.device),
                    symbols,
                    beam=beam,
                    positions=positions,
                    room=positions,
                )
                self._batches[key] = _FixedBatch(batch, self._capture, sources, filled)
            self._batches.move_to_end(key)
            while len(self._batches) > MOST_BATCHES:
                self._batches.popitem(last=False)
            self.nbytes = sum(batch.nbytes for batch in self._batches.values())
            return self._batches[key].decode(sources, filled, last)[:count]


class _FixedBatch:
    """A batch that is used again and again."""

    def __init__(self, batch: Batch, capture: Capture | None, embeddings: Tensor, rows: Rows) -> None:
        """Args:
        batch: of R rows.
        capture: of what it does; None: it is done as it is.
        embeddings: of R rows; later ones lie in the same place as a copy of these.
        rows: likewise.
        """
        self._batch = batch
        self._embeddings = embeddings.clone()
        self._rows = Rows(
            rows.prompts.to(embeddings.device, copy=True), rows.last.to(embeddings.device, copy=True)
        )
        self._done = _AllDone(embeddings.device)
        self._repeated = Repeated(capture)

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values."""
        return self._batch.cache.nbytes

    def decode(self, embeddings: Tensor, rows: Rows, last: int) -> list[Tensor]:
        """Tokens of each row's text, `</s>` included."""
        self._embeddings.copy_(embeddings)
        self._rows.prompts.copy_(rows.prompts)
        self._rows.last.copy_(rows.last)
        self._do("restart", partial(self._batch.restart, self._embeddings, self._rows))
        self._done.forget()
        for fed in range(last):
            self._do(self._kind(fed), partial(self._step, fed))
            if self._done.is_known():
                break
        return self._batch.found()

    def _step(self, fed: int) -> None:
        self._batch.step(fed, extent=None)
        self._done.note(self._batch.search.is_done)

    def _do(self, what: str, function: Callable[[], None]) -> None:
        self._repeated(function, course="decoding", shapes=what)

    def _kind(self, fed: int) -> str:
        """Steps of the same kind do the same."""
        if fed + 1 < self._batch.prompt_length:
            return "follow the prompt"
        return "choose the first token" if fed < self._batch.prompt_length else "choose a token"


class _AllDone:
    """Whether all rows are done, as of a few steps ago, so that the device always has work before it."""

    def __init__(self, device: torch.device) -> None:
        # Rows that are done stay so: whatever step the answer is of, if it is yes, it is the answer.
        self._answer = torch.zeros((), dtype=torch.bool, pin_memory=device.type == "cuda")
        self._stream = partial(torch.cuda.current_stream, device) if device.type == "cuda" else None
        self._noted: deque[torch.cuda.Event] = deque()

    def forget(self) -> None:
        """Begin anew, when the device has nothing to do."""
        self._answer.zero_()
        self._noted.clear()

    def note(self, is_done: Tensor) -> None:
        """As part of a step: take down which rows are done. # (R,)"""
        self._answer.copy_(is_done.all(), non_blocking=True)

    def is_known(self) -> bool:
        """After a step: what was noted some steps ago."""
        if self._stream is not None:
            self._noted.append(self._stream().record_event())  # type: ignore[no-untyped-call]
            if len(self._noted) <= AHEAD:
                return False
            self._noted.popleft().synchronize()
        return bool(self._answer)


def positions_for(last: int) -> int:
    """Positions that a batch has room for whose last one, counted from 0, is this."""
    power = _power_of_two(last + 1)
    three_quarters = power * 3 // 4
    return max(FEWEST_POSITIONS, three_quarters if last < three_quarters else power)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
