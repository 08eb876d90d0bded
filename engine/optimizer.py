"""Gradient descent on z alone, through frozen models: the loop that the project is about.

    z ─▶ generator ─▶ predicted embedding ─▶ decoder ─▶ logits of the target's tokens
    ▲                       │ cosine, mse                  │ cross-entropy
    └──────── Adam ◀────────┴──────────────────────────────┘

Everything is written for N runs: each tensor has a leading run dimension, and the runs of a batch never see
one another. N = 1 is the common case, not another path.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.adam import adam_update
from engine.decoding import decode, matches
from engine.errors import UserError
from engine.initial import held_norm, initial_z
from engine.models.loaded import LoadedBundle
from engine.objective import TERMS, Prediction, similarity
from engine.spec import RunSpec, check_lr, with_changes
from engine.state import RunState
from engine.step import Step, Vector
from engine.tokens import TARGET_CONTROL_TOKENS

__all__ = ["Evaluation", "Optimization", "Step", "optimize"]

DECODED_LENGTH_FACTOR = 3
"""A decoded text has at most so many times the target's tokens, unless the spec says otherwise."""

Record = dict[str, NDArray[np.float64]]
"""The numbers of a step on the host, each with a row for each run: the widths differ. # (N, …)"""


def optimize(spec: RunSpec, bundle: LoadedBundle, *, initial: Vector | None = None) -> Iterator[Step]:
    """Optimise one z: n updates give rows 0 … n.

    Args:
        spec: the run. Its bundle, device and dtype say what to load; here, what is loaded counts.
        bundle: the models.
        initial: z to start from, in place of the spec's init. # (D,)

    Raises:
        UserError: at once, when the spec does not fit the models; after the row concerned, when its loss or
            gradient is not finite.
    """
    optimization = Optimization([spec], bundle, initial=None if initial is None else initial[np.newaxis])
    return _rows(optimization)


def _rows(optimization: "Optimization") -> Iterator[Step]:
    while not optimization.done:
        for row in optimization.advance():
            yield row
            if row.problem:
                raise UserError(row.problem)


@dataclass(frozen=True)
class Evaluation:
    """What the models and the objective say about z."""

    z: Tensor
    """Effective z. # (N, D)"""

    prediction: Tensor
    """Predicted embedding. # (N, D)"""

    similarity: Tensor
    """Cosine of prediction and encode(target). # (N,)"""

    terms: Tensor
    """Each loss term for which some run has a weight. # (N, K)"""

    loss: Tensor
    """Sum of the terms, weighted. # (N,)"""

    token_losses: Tensor | None
    """Cross-entropy of each token of the target, 0 in padding; None when no term needs them. # (N, T)"""


class Optimization:
    """N runs stepped together: their state, and the step."""

    def __init__(
        self, specs: Sequence[RunSpec], bundle: LoadedBundle, *, initial: Vector | None = None
    ) -> None:
        """Encode the targets and the initial z.

        Args:
            specs: one for each run. Their bundle, device and dtype say what to load; here, what is loaded
                counts.
            bundle: the models.
            initial: z to start from, in place of the specs' inits. # (N, D)

        Raises:
            UserError: a text is too long for the models, or an initial z is missing or unusable.
        """
        self.specs = list(specs)
        """What each run optimises, with the number of updates and the weights that are in force."""
        self.bundle = bundle
        targets = [spec.target for spec in specs]
        self._targets = bundle.targets(targets)
        self._target_embedding = bundle.encode(targets, field="target")  # (N, D)
        self._weigh_terms()
        self._last_step = self._per_run([[spec.steps] for spec in specs], torch.int64)  # (N, 1)

        z = initial_z(self.specs, bundle, initial)  # (N, D)
        self._state = RunState.start(
            z,
            lr=self._per_run([[spec.lr] for spec in specs], torch.float64),
            held_norm=held_norm(self.specs, z),
        )
        self._next_step = [0] * len(specs)
        self._done = [False] * len(specs)
        self._decodes: bool | None = None

        self.raw_initial_z: Vector = z.cpu().numpy().copy()
        """z of step 0 before its norm is held: as `initial` it makes this beginning again. # (N, D)"""
        self.initial_z: Vector = self._effective(z).cpu().numpy()
        """Effective z of step 0. # (N, D)"""
        self.target_vector: Vector = self._target_embedding.cpu().numpy().copy()
        """encode(target). # (N, D)"""

    def advance(self, *, decodes: bool | None = None) -> list[Step]:
        """Make one step: evaluate z, update it, and return the rows of the runs that were not done.

        A row holds what belongs to z before the update. No update is made from a run's last row, nor from
        one whose loss or gradient is not finite: after it the run is done.

        Args:
            decodes: whether the rows are decoded; None: where their specs say so.
        """
        began = time.perf_counter()
        self._decodes = decodes
        raw_z = self._state.z.detach().requires_grad_()
        evaluation = self.evaluate(raw_z)
        # No run's loss depends on another run's z: the gradient of the sum is each run's own.
        (gradient,) = torch.autograd.grad(evaluation.loss.sum(), raw_z)  # (N, D)
        grad_norm = gradient.norm(dim=-1, keepdim=True)  # (N, 1)
        record = self._record(evaluation, grad_norm, self._token_losses(evaluation))

        finite = evaluation.loss.isfinite().unsqueeze(-1) & grad_norm.isfinite()  # (N, 1)
        adam_update(self._state, gradient, runs=finite & (self._state.count < self._last_step))
        elapsed_ms = (time.perf_counter() - began) * 1000

        running = self._running
        texts = self._decode(running, record, evaluation)
        rows = [self._row(run, record, texts.get(run), elapsed_ms) for run in running]
        for row in rows:
            self._done[row.run] = row.lr is None
            self._next_step[row.run] += row.lr is not None
        return rows

    def evaluate(self, raw_z: Tensor) -> Evaluation:
        """Evaluate the z of every run; the result is differentiable in raw z.

        Args:
            raw_z: (N, D), in the floating-point precision that the loss shall have.
        """
        z = self._effective(raw_z)
        predicted = self.bundle.predict(z)  # (N, D)
        needs_logits = any(term.needs_logits for term in self._terms)
        prediction = self._prediction(predicted, with_logits=needs_logits)
        terms = torch.stack([term.value(prediction) for term in self._terms], dim=-1)  # (N, K)
        loss = (terms * self._weights).sum(dim=-1)  # (N,)
        token_losses = prediction.token_losses if needs_logits else None
        return Evaluation(z, predicted, similarity(prediction), terms, loss, token_losses)

    @property
    def done(self) -> bool:
        """Whether every run has given its last row."""
        return all(self._done)

    def next_step(self, run: int) -> int:
        """The step whose row the run gives next; once it is done, the step of its last row."""
        return self._next_step[run]

    def set_lr(self, run: int, lr: float) -> None:
        """Change a run's learning rate, from the next `advance` on.

        Raises:
            UserError: the learning rate is not allowed.
        """
        self._state.lr[run] = check_lr(lr)

    def set_weights(self, run: int, weights: Mapping[str, float]) -> None:
        """Change the weights of a run's loss terms, from the next `advance` on. A term left out has none.

        Raises:
            UserError: the weights are not allowed.
        """
        self.specs[run] = with_changes(self.specs[run], weights=dict(weights))
        self._weigh_terms()

    def extend(self, run: int, steps: int) -> None:
        """Change the number of a run's updates to a larger one. A run that has made all of its own goes on.

        Raises:
            UserError: the number is not larger, or not allowed.
        """
        before = self.specs[run].steps
        if steps <= before:
            raise UserError(f"steps: {steps}: the run has {before} already")
        self.specs[run] = with_changes(self.specs[run], steps=steps)
        self._last_step[run] = steps
        self._done[run] = self._done[run] and self._next_step[run] < before

    def state_bytes(self, run: int) -> bytes:
        """A run's checkpoint, as safetensors: enough to go on bit for bit."""
        return self._state.run_bytes(run)

    def restore(self, run: int, data: bytes) -> None:
        """Go on with a run from its checkpoint.

        Raises:
            UserError: the checkpoint is damaged, or belongs to other models or a longer run; nothing has been
                changed.
        """
        before = self.copy_of_state(run)
        self._state.restore_run(run, data)
        step = int(self._state.count[run])
        if step > self.specs[run].steps:
            self._state.put_back(run, before)
            raise UserError(f"checkpoint: of step {step}; the run ends with step {self.specs[run].steps}")
        self._go_on_from_state(run)

    def copy_of_state(self, run: int) -> RunState:
        """A run's state, kept in memory on its device: cheap enough for every step."""
        return self._state.copy_of_run(run)

    def go_back(self, run: int, state: RunState) -> None:
        """Go on with a run from a copy of its state."""
        self._state.put_back(run, state)
        self._go_on_from_state(run)

    def _go_on_from_state(self, run: int) -> None:
        self._next_step[run] = int(self._state.count[run])
        self._done[run] = False

    def _weigh_terms(self) -> None:
        """Take up the specs' weights: a term for which no run has one is not computed."""
        self._terms = [
            term for term in TERMS.values() if any(spec.weights.get(term.name) for spec in self.specs)
        ]
        self._weights = self._per_run(
            [[spec.weights.get(term.name, 0.0) for term in self._terms] for spec in self.specs], torch.float32
        )  # (N, K)

    def _effective(self, raw_z: Tensor) -> Tensor:
        """Z · held norm / ‖z‖, or z itself where the norm is free. # (N, D)"""
        held = self._state.held_norm  # (N, 1)
        is_held = held > 0
        norm = torch.where(is_held, raw_z.norm(dim=-1, keepdim=True), 1.0)
        return raw_z * (torch.where(is_held, held, 1.0) / norm)

    def _prediction(self, embedding: Tensor, *, with_logits: bool) -> Prediction:
        return Prediction(
            embedding=embedding,
            target_embedding=self._target_embedding,
            logits=self.bundle.logits(embedding, self._targets) if with_logits else None,  # (N, T, V)
            target_tokens=self._targets.expected,
            target_mask=self._targets.mask,
        )

    def _token_losses(self, evaluation: Evaluation) -> Tensor | None:
        """Those of the objective, or made because a row of this step is decoded; else None. # (N, T)"""
        if evaluation.token_losses is not None or not any(map(self._is_decoded, self._running)):
            return evaluation.token_losses
        with torch.no_grad():
            return self._prediction(evaluation.prediction, with_logits=True).token_losses

    @property
    def _running(self) -> list[int]:
        return [run for run, done in enumerate(self._done) if not done]

    def _is_decoded(self, run: int) -> bool:
        return self.specs[run].decodes(self._next_step[run]) if self._decodes is None else self._decodes

    def _record(self, evaluation: Evaluation, grad_norm: Tensor, token_losses: Tensor | None) -> Record:
        """Copy what the rows need to the host, in one transfer: the only one in a step."""
        parts = {
            "lr": self._state.lr,
            "loss": evaluation.loss.unsqueeze(-1),
            "terms": evaluation.terms,
            "similarity": evaluation.similarity.unsqueeze(-1),
            "grad_norm": grad_norm,
            "z_norm": evaluation.z.norm(dim=-1, keepdim=True),
            "z": evaluation.z,
            "prediction": evaluation.prediction,
            "state": torch.cat([self._state.z, self._state.first_moment, self._state.second_moment], dim=-1),
        }
        if token_losses is not None:
            parts["token_losses"] = token_losses
        ends = list(accumulate(part.shape[-1] for part in parts.values()))
        # float64, the precision of lr, holds the float32 values exactly.
        packed = torch.cat([part.detach() for part in parts.values()], dim=-1).cpu().numpy()
        return dict(zip(parts, np.split(packed, ends[:-1], axis=-1), strict=True))

    def _decode(
        self, running: Sequence[int], record: Record, evaluation: Evaluation
    ) -> dict[int, tuple[str, str]]:
        """Texts of z and prediction, for the runs that decode in this step."""
        alike = defaultdict(list)  # runs that one batch can hold
        for run in running:
            spec = self.specs[run]
            finite = all(np.isfinite(values[run]).all() for values in record.values())
            if finite and self._is_decoded(run):
                length = DECODED_LENGTH_FACTOR * self._targets.lengths[run]
                alike[spec.beam, spec.max_decoded_tokens or length].append(run)
        texts: dict[int, tuple[str, str]] = {}
        for (beam, max_tokens), runs in alike.items():
            embeddings = torch.cat([evaluation.z[runs], evaluation.prediction[runs]])  # (2 · runs, D)
            decoded = decode(self.bundle, embeddings, beam=beam, max_tokens=max_tokens)
            texts.update(zip(runs, zip(decoded[: len(runs)], decoded[len(runs) :], strict=True), strict=True))
        return texts

    def _row(self, run: int, record: Record, texts: tuple[str, str] | None, elapsed_ms: float) -> Step:
        spec, step = self.specs[run], self._next_step[run]
        loss, grad_norm = record["loss"][run].item(), record["grad_norm"][run].item()
        state = record["state"][run].astype(np.float32).tobytes() + step.to_bytes(8, "little")
        decoded_z, decoded_prediction = texts or (None, None)
        terms = {
            term.name: value
            for term, value in zip(self._terms, record["terms"][run].tolist(), strict=True)
            if spec.weights.get(term.name)
        }
        # As the run would have them alone: the runs beside it decide what the record holds.
        has_token_losses = texts is not None or any(TERMS[name].needs_logits for name in terms)
        goes_on = step < spec.steps and math.isfinite(loss) and math.isfinite(grad_norm)
        return Step(
            run=run,
            step=step,
            loss=loss,
            terms=terms,
            similarity=record["similarity"][run].item(),
            grad_norm=grad_norm,
            z_norm=record["z_norm"][run].item(),
            lr=record["lr"][run].item() if goes_on else None,
            elapsed_ms=elapsed_ms,
            z=record["z"][run].astype(np.float32),
            prediction=record["prediction"][run].astype(np.float32),
            decoded_z=decoded_z,
            decoded_prediction=decoded_prediction,
            match=None if decoded_prediction is None else matches(decoded_prediction, spec.target),
            token_losses=self._of_tokens(run, record["token_losses"]) if has_token_losses else None,
            state_hash=sha256(state).hexdigest()[:16],
        )

    def _of_tokens(self, run: int, values: NDArray[np.float64]) -> tuple[float, ...]:
        """The values (N, T) of a run's expected tokens, without padding."""
        tokens = self._targets.lengths[run] + TARGET_CONTROL_TOKENS - 1  # the first one is fed, not predicted
        return tuple(values[run, :tokens].tolist())

    def _per_run(self, values: Sequence[Sequence[float]], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=self.bundle.device)
