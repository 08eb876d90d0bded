"""Rows: what becomes of a step that was launched, once its numbers and texts are there."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor

from engine.models.loaded import LoadedBundle
from engine.objective import TERMS
from engine.spec import RunSpec
from engine.steps.decoded_rows import DecodedRow, Decoder, Evaluated
from engine.steps.forward_pass import ForwardPass
from engine.steps.record import Record, Sent
from engine.steps.step import Step, Vector


@dataclass(frozen=True, kw_only=True)
class OwnRow:
    """What a run's row needs besides what was measured, as it was when the step was launched."""

    step: int
    is_last: bool
    terms: tuple[str, ...]
    """Names of the run's own terms."""
    weights: Mapping[str, float]
    is_decoded: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Launched:
    """A step of N runs that the device is at, or has done."""

    rows: Mapping[int, OwnRow]
    """By runs, of those that were not done."""

    term_names: tuple[str, ...]
    """Of the terms that were measured."""

    sent: Sent
    """The numbers, on their way."""

    elapsed_ms: Callable[[], float]
    """How long it took, once it is done."""

    z: Tensor | None
    """Effective z, where a row is decoded; else None. # (N, D)"""

    predictions: Tensor | None
    """Likewise. # (N, M, D)"""

    @cached_property
    def decoded_rows(self) -> int:
        """Number of rows that are to be decoded."""
        return sum(row.is_decoded for row in self.rows.values())

    @cached_property
    def record(self) -> Record:
        """The numbers: waits for them."""
        return self.sent.record()


@dataclass(frozen=True, eq=False)
class Said:
    """What the decoded rows of a step say."""

    rows: Mapping[int, DecodedRow]
    """By runs."""

    record: Record
    """The numbers of the step, with the token losses where a row is decoded."""


class RowMaker:
    """Makes the rows of N runs."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        bundle: LoadedBundle,
        forward: ForwardPass,
        *,
        initial_z: Vector,
        own_slots: tuple[tuple[str, ...], ...],
    ) -> None:
        """Take what does not change.

        Args:
            specs: of the runs.
            bundle: the models.
            forward: of the runs.
            initial_z: effective z of step 0. # (N, D)
            own_slots: names of what each run's optimiser keeps.
        """
        self._forward, self._own_slots = forward, own_slots
        self._sentence_tokens = [forward.sentence_tokens(run) for run in range(len(specs))]
        self.decode = Decoder(bundle, forward, specs, initial_z=initial_z)
        """Decodes and measures."""

    def said(self, steps: Sequence[Launched]) -> list[Said]:
        """What the rows of some steps say that are to be decoded, all decoded together.

        Texts are asked of finite numbers only. Waits for the numbers.
        """
        records = [self._with_token_losses(step) for step in steps]
        evaluated = []
        for step, record in zip(steps, records, strict=True):
            assert step.z is not None
            assert step.predictions is not None
            runs = [run for run, row in step.rows.items() if row.is_decoded and record.is_finite(run)]
            evaluated.append(Evaluated(step.z, step.predictions, runs))
        decoded = self.decode(evaluated)
        return [Said(rows, record) for rows, record in zip(decoded, records, strict=True)]

    def __call__(self, launched: Launched, said: Said | None) -> list[Step]:
        """The rows of a step; `said` where some of them are decoded. Waits for the numbers."""
        said = said or Said({}, launched.record)
        elapsed_ms = launched.elapsed_ms()
        return [
            self._row(run, row, launched, said.record, said.rows.get(run), elapsed_ms)
            for run, row in launched.rows.items()
        ]

    def _with_token_losses(self, launched: Launched) -> Record:
        """The numbers of a step, with the token losses that the objective does not need."""
        record = launched.record
        assert launched.predictions is not None
        if "token_losses" in record.values:
            return record
        with torch.no_grad():
            token_losses = self._forward.token_losses(launched.predictions)  # (N, M, T)
        return Record({**record.values, "token_losses": token_losses.cpu().numpy()})

    def _row(
        self,
        run: int,
        own: OwnRow,
        launched: Launched,
        record: Record,
        decoded: DecodedRow | None,
        elapsed_ms: float,
    ) -> Step:
        # As the run would have them alone: the runs beside it decide what the record holds.
        has_token_losses = decoded is not None or any("logits" in TERMS[name].needs for name in own.terms)
        loss, grad_norm = record.number(run, "loss"), record.number(run, "grad_norm")
        goes_on = not own.is_last and math.isfinite(loss) and math.isfinite(grad_norm)
        token_losses = record.token_losses(run, self._sentence_tokens[run]) if has_token_losses else None
        measured = zip(launched.term_names, record.numbers(run, "terms"), strict=True)
        return Step(
            run=run,
            step=own.step,
            loss=loss,
            terms={name: value for name, value in measured if name in own.terms},
            weights=dict(own.weights),
            similarity=record.number(run, "similarity"),
            grad_norm=grad_norm,
            z_norm=record.number(run, "z_norm"),
            lr=record.number(run, "lr") if goes_on else None,
            elapsed_ms=elapsed_ms,
            z=record.vector(run, "z"),
            prediction=record.vector(run, "prediction"),
            decoded_z=decoded.decoded_z if decoded else None,
            decoded_prediction=decoded.decoded_prediction if decoded else None,
            match=decoded.match if decoded else None,
            sentences=decoded.sentences(token_losses) if decoded and token_losses else (),
            measures=decoded.measures if decoded else {},
            reread_prediction=decoded.reread_prediction if decoded else None,
            token_losses=None if token_losses is None else tuple(chain.from_iterable(token_losses)),
            state_hash=record.state_hash(run, ("raw_z", *self._own_slots[run]), own.step),
        )
