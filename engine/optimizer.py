"""Gradient descent on z alone, through frozen models: the loop that the project is about.

    z ─▶ generator ─▶ predicted embedding ─▶ decoder ─▶ logits of the target's tokens
    ▲                       │ cosine, mse                  │ cross-entropy
    └────── optimiser ◀─────┴──────────────────────────────┘

Everything is written for N runs: each tensor has a leading run dimension, and the runs of a batch never see
one another. N = 1 is the common case, not another path.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Self

import numpy as np
import torch
from torch import Tensor

from engine.decoded_rows import DecodedRow, Evaluated
from engine.errors import UserError
from engine.fast.graph import Repeated, capture_on
from engine.fast.stopwatch import Stopwatch
from engine.forward_pass import ForwardPass
from engine.initial import held_norm, initial_z
from engine.models.loaded import LoadedBundle
from engine.objective import CONSTRAINTS, TERMS
from engine.objective.constraint import Constraint
from engine.objective.terms.cosine import similarity
from engine.optimizers import OPTIMIZERS, clip
from engine.own_text import OwnTexts
from engine.record import Measured
from engine.rows import Launched, OwnRow, RowMaker, Said
from engine.scatter import Scattering
from engine.schedule import Plateau, parse_schedule, plateau_update
from engine.search import Search, begin_search
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec, check_lr, steered, with_changes
from engine.state import RunState
from engine.step import Step, Vector

__all__ = ["Evaluation", "Optimization", "Step", "optimize"]


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
    return _rows(begin_search([spec], bundle, initial=None if initial is None else initial[np.newaxis]))


def _rows(search: Search) -> Iterator[Step]:
    while not search.done:
        for row in search.advance():
            yield row
            if row.problem:
                raise UserError(row.problem)


@dataclass(frozen=True)
class Evaluation:
    """What the models and the objective say about z."""

    z: Tensor
    """Effective z. # (N, D)"""

    predictions: Tensor
    """Predicted embedding in the place of each target sentence. # (N, M, D)"""

    similarity: Tensor
    """Cosine of prediction and encode(target), the mean over target sentences. # (N,)"""

    terms: Tensor
    """Each loss term that some run has. # (N, K)"""

    loss: Tensor
    """Sum of the terms, weighted. # (N,)"""

    token_losses: Tensor | None
    """Cross-entropy of each token of the target sentences, 0 in padding; None when no term needs them.
    # (N, M, T)"""

    def detached(self) -> Self:
        """The same numbers without the way back to z."""
        token_losses = None if self.token_losses is None else self.token_losses.detach()
        return type(self)(
            z=self.z.detach(),
            predictions=self.predictions.detach(),
            similarity=self.similarity.detach(),
            terms=self.terms.detach(),
            loss=self.loss.detach(),
            token_losses=token_losses,
        )


@dataclass(frozen=True)
class Moment:
    """Where all runs of an optimization are."""

    state: RunState

    next_step: tuple[int, ...]
    """Of each run: the step whose row comes next."""

    done: tuple[bool, ...]


class Optimization:
    """N runs stepped together: their state, and the step."""

    def __init__(
        self, specs: Sequence[RunSpec], bundle: LoadedBundle, *, initial: Vector | None = None
    ) -> None:
        """Encode the sentences and the initial z.

        Args:
            specs: one for each run. Their bundle, device and dtype say what to load; here, what is loaded
                counts.
            bundle: the models.
            initial: z to start from, in place of the specs' inits. # (N, D)

        Raises:
            UserError: a text is too long for the models, in a language that they do not have, or an initial z
                is missing or unusable.
        """
        self.specs = list(specs)
        """What each run optimises, with the number of updates, learning rate, weights and schedules that are
        in force."""
        self.bundle = bundle
        bundle.use_threads()
        z = initial_z(self.specs, bundle, initial)  # (N, D)
        self._state = RunState.start(
            z,
            lr=self._per_run([spec.lr for spec in specs]),
            held_norm=held_norm(self.specs, z),
            optimizers=[OPTIMIZERS[spec.optimizer] for spec in specs],
        )
        self._last_step = self._per_run([spec.steps for spec in specs], torch.int64)  # (N, 1)
        self._next_step = [0] * len(specs)
        self._done = [False] * len(specs)
        self._held = [False] * len(specs)
        self._as_recorded: dict[int, tuple[float, dict[str, float]]] = {}

        self._forward = ForwardPass(self.specs, bundle, self._effective(z))
        self._own_texts = OwnTexts(bundle, len(specs))
        self._scattering = Scattering(self.specs, bundle.device)
        self._clip_norm = self._per_run([spec.clip or math.inf for spec in specs])  # (N, 1)
        self._options = {
            name: {
                option.name: self._per_run([spec.number(f"{name}.{option.name}") for spec in specs])
                for option in optimizer.options
            }
            for name, optimizer in OPTIMIZERS.items()
        }
        self._own_optimizer = {
            name: self._per_run([spec.optimizer == name for spec in specs], torch.bool)
            for name in {spec.optimizer: None for spec in specs}
        }  # (N, 1) each

        # A step that was captured reads these where they lie: they are only ever written in place.
        self._lr = self._state.lr.clone()  # (N, 1)
        self._weights = torch.empty(0)  # (N, K)
        self._moves = self._per_run([True] * len(specs), torch.bool)  # (N, 1): those that are not held
        self._plateau_factor = self._per_run([1.0] * len(specs))  # (N, 1)
        self._plateau_patience = self._per_run([math.inf] * len(specs))  # (N, 1)
        self._take_up_specs()
        self._repeated = Repeated(capture_on(bundle.device))

        self.raw_initial_z: Vector = z.cpu().numpy().copy()
        """z of step 0 before its norm is held: as `initial` it makes this beginning again. # (N, D)"""
        self.initial_z: Vector = self._effective(z).cpu().numpy()
        """Effective z of step 0. # (N, D)"""
        self.target_vector: Vector = self._forward.target_embeddings[:, 0].cpu().numpy().copy()
        """encode(target), of the first target sentence. # (N, D)"""
        self._make_rows = RowMaker(
            self.specs, bundle, self._forward, initial_z=self.initial_z, own_slots=self._state.own_slots
        )

    def advance(self, *, decodes: bool | None = None) -> list[Step]:
        """Make one step: evaluate z, update it, and return the rows of the runs that were not done.

        A row holds what belongs to z before the update. No update is made from a run's last row, nor from
        one whose loss or gradient is not finite: after it the run is done.

        Args:
            decodes: whether the rows are decoded; None: where their specs say so.
        """
        launched = self.launch(decodes=decodes)
        rows = self.rows(launched, self.said([launched])[0] if launched.decoded_rows else None)
        self.end_where_not_finite(rows)
        return rows

    def launch(self, *, decodes: bool | None = None) -> Launched:
        """Start a step, and go on as if everything in it were finite: nothing of it is waited for.

        Args:
            decodes: as to `advance`.
        """
        self.bundle.use_threads()
        stopwatch = Stopwatch(self.bundle.device)
        self._settle()
        self._take_settings()
        evaluation, measured = self._repeated(self._step, course=self._course)
        stopwatch.stop()
        rows = {run: self._own_row(run, decodes) for run in self.running}
        is_decoded = any(row.is_decoded for row in rows.values())
        for run, row in rows.items():
            self._done[run] = row.is_last
            self._next_step[run] += not row.is_last
        return Launched(
            rows=rows,
            term_names=tuple(term.name for term in self._forward.terms),
            sent=measured.sent(),
            elapsed_ms=stopwatch.elapsed_ms,
            # Clones: the next step may overwrite what this one has evaluated.
            z=evaluation.z.clone() if is_decoded else None,
            predictions=evaluation.predictions.clone() if is_decoded else None,
        )

    def _own_row(self, run: int, decodes: bool | None) -> OwnRow:
        spec, step = self.specs[run], self._next_step[run]
        return OwnRow(
            step=step,
            is_last=step >= spec.steps,
            terms=self._terms_of(run),
            weights=dict(self.weights(run)),
            is_decoded=spec.decodes(step) if decodes is None else decodes,
        )

    def said(self, steps: Sequence[Launched]) -> list[Said]:
        """What the rows of some steps say that are to be decoded, all decoded together."""
        return self._make_rows.said(steps)

    def rows(self, launched: Launched, said: Said | None) -> list[Step]:
        """The rows of a step that was launched; `said` where some of them are decoded."""
        return self._make_rows(launched, said)

    def end_where_not_finite(self, rows: Sequence[Step]) -> None:
        """Take it that the runs end with these rows whose loss or gradient is not finite."""
        for row in rows:
            if row.problem is not None:
                self._done[row.run], self._next_step[row.run] = True, row.step

    def _step(self) -> tuple[Evaluation, Measured]:
        """Evaluate z, and update it where that is due. The host is not asked, nor does it tell anything."""
        raw_z = self._state.z.detach().requires_grad_()
        evaluation, gradient = self._differentiate(raw_z)  # gradient: (N, D)
        grad_norm = gradient.norm(dim=-1, keepdim=True)  # (N, 1)
        measured = self._measure(evaluation, grad_norm)

        finite = evaluation.loss.isfinite().unsqueeze(-1) & grad_norm.isfinite()  # (N, 1)
        runs = finite & self._moves & (self._state.count < self._last_step)  # (N, 1)
        self._update(gradient, evaluation.loss, runs=runs)
        return evaluation.detached(), measured

    @property
    def _course(self) -> Hashable | None:
        """What `_step` depends on besides tensors; None where the host has a part in it.

        The host has one where a term reads what z says, which is a text of another length each time, and
        where the loss is a mean over copies, which are drawn on the host, as many at once as memory holds.
        """
        if self._forward.reads_z or self._scattering.is_on:
            return None
        return tuple(term.name for term in self._forward.terms), self._has_plateaus

    @property
    def needs_host(self) -> bool:
        """Whether the host has a part in the next step, or knows something that the state does not."""
        return (
            self._course is None
            or bool(self._as_recorded)
            or any(self._own_texts.knows(run) for run in self.running)
            or any(self._due(constraint) for constraint in CONSTRAINTS.values())
        )

    def evaluate(self, raw_z: Tensor) -> Evaluation:
        """Evaluate the z of every run; the result is differentiable in raw z.

        Args:
            raw_z: (N, D), in the floating-point precision that the loss shall have.
        """
        z = self._effective(raw_z)
        forward = self._forward(z, self._own_texts.current if self._forward.reads_z else None)
        terms = torch.stack([term.value(forward) for term in self._forward.terms], dim=-1)  # (N, K)
        loss = (terms * self._weights).sum(dim=-1)  # (N,)
        token_losses = forward.token_losses if self._needs_logits else None
        return Evaluation(z, forward.predictions, similarity(forward), terms, loss, token_losses)

    def read(self, z: Tensor) -> None:
        """Read the effective z (N, D) of every run, where a term needs to know what it says."""
        if self._forward.reads_z:
            self._read(z, range(len(self.specs)))

    def _differentiate(self, raw_z: Tensor) -> tuple[Evaluation, Tensor]:
        """What z is, and the gradient of each run's loss with respect to its raw z. # (N, D)"""
        if self._scattering.is_on:
            return self._differentiate_copies(raw_z)
        evaluation = self.evaluate(raw_z)
        # No run's loss depends on another run's z: the gradient of the sum is each run's own.
        (gradient,) = torch.autograd.grad(evaluation.loss.sum(), raw_z)
        return evaluation, gradient

    def _differentiate_copies(self, raw_z: Tensor) -> tuple[Evaluation, Tensor]:
        """The same where the loss is a mean over copies of z: the predictions are those of z itself."""
        with torch.no_grad():
            evaluation = self.evaluate(raw_z)
        terms, gradient = self._scattering.terms_and_gradient(
            raw_z,
            effective=self._effective,
            terms_of=self._terms_of_copies,
            weights=self._weights,
            steps=self._next_step,
        )
        return replace(evaluation, terms=terms, loss=(terms * self._weights).sum(dim=-1)), gradient

    def _terms_of_copies(self, z: Tensor, copies: int) -> Tensor:
        forward = self._forward(z, self._own_texts.current if self._forward.reads_z else None, copies=copies)
        return torch.stack([term.value(forward) for term in self._forward.terms], dim=-1)  # (N · C, K)

    def _update(self, gradient: Tensor, loss: Tensor, *, runs: Tensor) -> None:
        """Make one update of some of the runs (N, 1), each by its own optimiser."""
        clipped = clip(gradient, self._clip_norm)
        for name, own in self._own_optimizer.items():
            optimizer = OPTIMIZERS[name]
            z, slots = optimizer.update(
                self._state.z,
                clipped,
                slots=self._state.slots,
                count=self._state.age,
                lr=self._lr,
                options=self._options[name],
            )
            self._state.accept(z, slots, runs=runs & own)
        if self._has_plateaus:
            after = plateau_update(
                self._state.plateau, loss.detach(), self._plateau_factor, self._plateau_patience
            )
            self._state.plateau.copy_(torch.where(runs, after, self._state.plateau))

    # What is done before a row

    def _settle(self) -> None:
        """Let constraints move z, and read what z says where a term needs to know."""
        running = self.running
        for constraint in CONSTRAINTS.values():
            if move := constraint.move:
                if due := self._due(constraint):
                    z = self._effective(self._state.z)
                    self._read(z, due)
                    self._state.z[due] = move.to(z, self._own_texts.current.round_trip)[due]
                for run in due:
                    self._own_texts.forget(run)
                    self._state.read_z[run] = math.nan
                    if move.resets(self.specs[run].option(f"{constraint.name}.moments")):
                        self._state.begin_anew(run)
        self._read_where_due(running)

    def _due(self, constraint: Constraint) -> list[int]:
        """The runs whose z a constraint moves before the next row."""
        if constraint.move is None:
            return []
        option = f"{constraint.name}.{constraint.move.every}"
        every = {run: self.specs[run].number(option) for run in self.running}
        steps = self._next_step
        return [run for run in every if every[run] and steps[run] > 0 and steps[run] % every[run] == 0]

    def _read_where_due(self, running: Sequence[int]) -> None:
        """Read z anew at every k-th step; after a checkpoint, the z that was read last."""
        reads = [run for run in running if self._reads_z[run]]
        for run in set(running) - set(reads):
            if self._own_texts.knows(run):
                self._own_texts.forget(run)
                self._state.read_z[run] = math.nan
        due = {run for run in reads if self._next_step[run] % self.specs[run].read_every == 0}
        unknown = {run for run in reads if run not in due and not self._own_texts.knows(run)}
        if unknown:
            was_read = self._state.read_z.isfinite().all(dim=-1).tolist()
            due |= {run for run in unknown if not was_read[run]}
            if before := sorted(unknown - due):
                self._read(self._state.read_z, before)
        if due:
            z = self._effective(self._state.z)
            self._read(z, sorted(due))
            self._state.read_z[sorted(due)] = z[sorted(due)]

    def _read(self, z: Tensor, runs: Sequence[int]) -> None:
        most = [self._forward.target_tokens(run) * DECODED_LENGTH_FACTOR for run in range(len(self.specs))]
        self._own_texts.read(z, self.specs, most, runs=runs)

    def _take_settings(self) -> None:
        """Take up the learning rates and weights of this step."""
        if not self._as_recorded and not any(spec.schedules for spec in self.specs):
            self._lr.copy_(self._state.lr)
            return
        rates = [
            self._as_recorded[run][0] if run in self._as_recorded else spec.lr_at(self._next_step[run])
            for run, spec in enumerate(self.specs)
        ]
        self._weights.copy_(self._weights_of_step())
        lr = self._per_run(rates)
        if self._has_plateaus:
            self._plateau_patience.copy_(self._patience_of_step())
            recorded = [run in self._as_recorded for run in range(len(self.specs))]
            is_recorded = self._per_run(recorded, torch.bool)  # (N, 1)
            lr = torch.where(is_recorded, lr, lr * self._state.plateau[:, 2:])
        self._lr.copy_(lr)

    def _weights_of_step(self) -> Tensor:
        """Weights of the terms in the next rows. # (N, K)"""
        weights = [self.weights(run) for run in range(len(self.specs))]
        terms = self._forward.terms
        table = [[of_run.get(term.name, 0.0) for term in terms] for of_run in weights]
        return self._to_device(torch.tensor(table, dtype=torch.float32))

    def _patience_of_step(self) -> Tensor:
        """Steps without a lower loss that each plateau bears; infinite where there is none yet. # (N, 1)"""
        return self._per_run(
            [
                plateau.patience if isinstance(plateau, Plateau) and step >= plateau.origin else math.inf
                for plateau, step in zip(self._plateaus, self._next_step, strict=True)
            ]
        )

    # Steering

    @property
    def done(self) -> bool:
        """Whether every run has given its last row."""
        return all(self._done)

    def next_step(self, run: int) -> int:
        """The step whose row the run gives next; once it is done, the step of its last row."""
        return self._next_step[run]

    def weights(self, run: int) -> Mapping[str, float]:
        """The weights of a run's terms in its next row."""
        if run in self._as_recorded:
            return self._as_recorded[run][1]
        return self.specs[run].weights_at(self._next_step[run])

    def hold(self, run: int, is_held: bool = True) -> None:
        """Leave a run where it is, without rows and updates, or let it go on."""
        self._held[run] = is_held
        self._moves[run] = not is_held

    def set_lr(self, run: int, lr: float) -> None:
        """Change a run's learning rate, from the next `advance` on; a schedule of it ends.

        Raises:
            UserError: the learning rate is not allowed.
        """
        self.take_spec(run, steered(self.specs[run], self._next_step[run], lr=check_lr(lr)))

    def set_weights(self, run: int, weights: Mapping[str, float]) -> None:
        """Change the weights of a run's loss terms, from the next `advance` on. A term left out has none.

        Raises:
            UserError: the weights are not allowed.
        """
        spec = self.specs[run]
        rates = {name: text for name, text in spec.schedules.items() if name == "lr"}
        self.take_spec(run, with_changes(spec, weights=dict(weights), schedules=rates))

    def take_spec(self, run: int, spec: RunSpec) -> None:
        """Go on, from the next `advance` on, with the learning rate, weights and schedules of a spec.

        Raises:
            UserError: a term needs what the bundle does not have; nothing has been changed.
        """
        before = self.specs[run]
        self.specs[run] = spec
        self._as_recorded.pop(run, None)
        try:
            self._take_up_specs()
        except UserError:
            self.specs[run] = before
            self._take_up_specs()
            raise
        if spec.schedules.get("lr") != before.schedules.get("lr"):
            self._state.forget_plateau(run)
        self._state.lr[run] = spec.lr

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> None:
        """Make the next row with what it was recorded with, and all that follow until `take_spec`."""
        of_terms = {name: weight for name, weight in weights.items() if weight}
        changed = of_terms.keys() != set(self._terms_of(run))
        self._as_recorded[run] = (lr, of_terms)
        if changed:
            self._take_up_specs()

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

    def _terms_of(self, run: int) -> tuple[str, ...]:
        return tuple(self._as_recorded[run][1]) if run in self._as_recorded else self.specs[run].terms

    def _take_up_specs(self) -> None:
        """Take up what the specs ask for: a term that no run has is not computed."""
        terms = [self._terms_of(run) for run in range(len(self.specs))]
        self._forward.set_terms(terms)
        needs = [frozenset(chain.from_iterable(TERMS[name].needs for name in of_run)) for of_run in terms]
        self._needs_logits = any("logits" in of_run for of_run in needs)
        self._reads_z = [bool(of_run & {"own text", "anchors"}) for of_run in needs]
        self._plateaus = [
            parse_schedule(spec.schedules.get("lr", "constant"), of="lr") for spec in self.specs
        ]
        self._has_plateaus = any(isinstance(plateau, Plateau) for plateau in self._plateaus)
        factors = [plateau.factor if isinstance(plateau, Plateau) else 1.0 for plateau in self._plateaus]
        self._plateau_factor.copy_(self._per_run(factors))
        self._plateau_patience.copy_(self._patience_of_step())
        weights = self._weights_of_step()
        self._weights = self._weights.copy_(weights) if self._weights.shape == weights.shape else weights

    # Checkpoints

    def state_bytes(self, run: int) -> bytes:
        """A run's checkpoint, as safetensors: enough to go on bit for bit."""
        return self._state.run_bytes(run)

    def restore(self, run: int, data: bytes) -> None:
        """Go on with a run from its checkpoint, with the learning rate of then.

        Raises:
            UserError: the checkpoint is damaged, or belongs to other models, another optimiser or a longer
                run; nothing has been changed.
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
        self._own_texts.forget(run)
        self.specs[run] = with_changes(self.specs[run], lr=float(self._state.lr[run]))

    def copy_of_all(self) -> Moment:
        """Where all runs are, kept in memory."""
        return Moment(self._state.copy(), tuple(self._next_step), tuple(self._done))

    def go_back_to(self, moment: Moment) -> None:
        """Go on with all runs from where they were. Nothing may have been set since."""
        self._state.put_all_back(moment.state)
        self._next_step[:], self._done[:] = moment.next_step, moment.done

    def close(self) -> None:
        """Nothing goes on between two rows."""

    # Rows

    def _effective(self, raw_z: Tensor) -> Tensor:
        """Z · held norm / ‖z‖, or z itself where the norm is free. # (N, D)"""
        held = self._state.held_norm  # (N, 1)
        is_held = held > 0
        norm = torch.where(is_held, raw_z.norm(dim=-1, keepdim=True), 1.0)
        return raw_z * (torch.where(is_held, held, 1.0) / norm)

    @property
    def running(self) -> list[int]:
        """The runs that give a row next: neither done nor held."""
        return [run for run in range(len(self.specs)) if not (self._done[run] or self._held[run])]

    def _measure(self, evaluation: Evaluation, grad_norm: Tensor) -> Measured:
        """What the rows need, for the one transfer of a step."""
        return Measured.of(
            {
                "lr": self._lr,
                "loss": evaluation.loss.unsqueeze(-1),
                "terms": evaluation.terms,
                "similarity": evaluation.similarity.unsqueeze(-1),
                "grad_norm": grad_norm,
                "z_norm": evaluation.z.norm(dim=-1, keepdim=True),
                "z": evaluation.z,
                "prediction": evaluation.predictions[:, 0],
                "raw_z": self._state.z,
                "token_losses": evaluation.token_losses,
                **self._state.slots,
            }
        )

    def decode(self, evaluation: Evaluation, runs: Sequence[int]) -> dict[int, DecodedRow]:
        """Texts and measures of some of the runs, at any z that was evaluated."""
        said = Evaluated(evaluation.z.detach(), evaluation.predictions.detach(), runs)
        return self._make_rows.decode([said])[0]

    def _per_run(self, values: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
        """A number of each run. # (N, 1)"""
        return self._to_device(torch.tensor(values, dtype=dtype).unsqueeze(-1))

    def _to_device(self, values: Tensor) -> Tensor:
        """Values of the host, for what is launched next: nobody waits for the device to come to it."""
        pinned = values.pin_memory() if self.bundle.device.type == "cuda" else values
        return pinned.to(self.bundle.device, non_blocking=True)
