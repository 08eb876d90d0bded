"""Gradient descent on z alone, through frozen models: the loop that the project is about.

    z ─▶ generator ─▶ predicted embedding ─▶ decoder ─▶ logits of the target's tokens
    ▲                       │ cosine, mse                  │ cross-entropy
    └────── optimiser ◀─────┴──────────────────────────────┘

Everything is written for N runs: each tensor has a leading run dimension, and the runs of a batch never see
one another. N = 1 is the common case, not another path.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.errors import UserError
from engine.fast.graph import Repeated, capture_on
from engine.fast.stopwatch import Stopwatch
from engine.models.loaded import LoadedBundle
from engine.objective.terms.cosine import similarity
from engine.optimizers import OPTIMIZERS
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec, check_lr, steered, with_changes
from engine.steps.decoded_rows import DecodedRow, Evaluated
from engine.steps.evaluation import Evaluation
from engine.steps.forward_pass import ForwardPass
from engine.steps.initial import held_norm, initial_z
from engine.steps.per_run import per_run
from engine.steps.reading import Reading
from engine.steps.record import Measured
from engine.steps.rows import Launched, OwnRow, RowMaker, Said
from engine.steps.scatter import Scattering
from engine.steps.state import Moment, RunState
from engine.steps.step import Step, Vector
from engine.steps.step_settings import StepSettings
from engine.steps.updates import Updates

__all__ = ["Evaluation", "Moment", "Optimization", "Step"]


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
            lr=per_run([spec.lr for spec in specs], bundle.device),
            held_norm=held_norm(self.specs, z),
            optimizers=[OPTIMIZERS[spec.optimizer] for spec in specs],
        )
        self._last_step = per_run([spec.steps for spec in specs], bundle.device, torch.int64)  # (N, 1)
        self._next_step = [0] * len(specs)
        self._done = [False] * len(specs)
        self._held = [False] * len(specs)

        self._forward = ForwardPass(self.specs, bundle, self._state.effective(z))
        most_tokens = [self._forward.target_tokens(run) * DECODED_LENGTH_FACTOR for run in range(len(specs))]
        self._reading = Reading(self.specs, bundle, self._state, most_tokens)
        self._settings = StepSettings(self.specs, self._state)
        self._scattering = Scattering(self.specs, bundle.dim, bundle.device)
        self._updates = Updates(self.specs, bundle.device)
        goes_on = [True] * len(specs)
        self._moves = per_run(goes_on, bundle.device, torch.bool)  # (N, 1): those that are not held
        self._take_up_specs()
        # Several runs that have no room are better stepped in smaller groups.
        self._repeated = Repeated(capture_on(bundle.device), plainly_without_room=len(specs) == 1)

        self.raw_initial_z: Vector = z.cpu().numpy().copy()
        """z of step 0 before its norm is held: as `initial` it makes this beginning again. # (N, D)"""
        self.initial_z: Vector = self._state.effective(z).cpu().numpy()
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
        self._reading.before_rows(self.running, self._next_step)
        self._settings.prepare(self._next_step)
        self._scattering.draw(self._next_step)
        evaluation, measured = self._repeated(self._step, course=self._course, shapes=self._shapes)
        stopwatch.stop()
        rows = {run: self._own_row(run, decodes) for run in self.running}
        is_decoded = any(row.is_decoded for row in rows.values())
        # Clones: the next step may overwrite what this one has evaluated. They are made before the numbers go
        # out, for whoever has those may read them, on any stream.
        z = evaluation.z.clone() if is_decoded else None
        predictions = evaluation.predictions.clone() if is_decoded else None
        for run, row in rows.items():
            self._done[run] = row.is_last
            self._next_step[run] += not row.is_last
        return Launched(
            rows=rows,
            term_names=tuple(term.name for term in self._forward.terms),
            sent=measured.sent(),
            elapsed_ms=stopwatch.elapsed_ms,
            z=z,
            predictions=predictions,
        )

    def _step(self) -> tuple[Evaluation, Measured]:
        """Evaluate z, and update it where that is due. The host is not asked, nor does it tell anything."""
        raw_z = self._state.z.detach().requires_grad_()
        evaluation, gradient = self._differentiate(raw_z)  # gradient: (N, D)
        grad_norm = gradient.norm(dim=-1, keepdim=True)  # (N, 1)
        measured = evaluation.measured(self._state, lr=self._settings.lr, grad_norm=grad_norm)

        finite = evaluation.loss.isfinite().unsqueeze(-1) & grad_norm.isfinite()  # (N, 1)
        runs = finite & self._moves & (self._state.count < self._last_step)  # (N, 1)
        self._updates(self._state, gradient, lr=self._settings.lr, runs=runs)
        self._settings.watch(evaluation.loss, runs=runs)
        return evaluation.detached(), measured

    def _differentiate(self, raw_z: Tensor) -> tuple[Evaluation, Tensor]:
        """What z is, and the gradient of each run's loss with respect to its raw z. # (N, D)"""
        if self._scattering.is_on:
            return self._differentiate_copies(raw_z)
        evaluation = self.evaluate(raw_z)
        # No run's loss depends on another run's z: the gradient of the sum is each run's own.
        (gradient,) = torch.autograd.grad(evaluation.loss.sum(), raw_z)
        return evaluation, gradient

    def evaluate(self, raw_z: Tensor) -> Evaluation:
        """Evaluate the z of every run; the result is differentiable in raw z.

        Args:
            raw_z: (N, D), in the floating-point precision that the loss shall have.
        """
        z = self._state.effective(raw_z)
        forward = self._forward(z, self._reading.current)
        terms = torch.stack([term.value(forward) for term in self._forward.terms], dim=-1)  # (N, K)
        loss = (terms * self._settings.weights).sum(dim=-1)  # (N,)
        token_losses = forward.token_losses if self._forward.needs_logits else None
        return Evaluation(z, forward.predictions, similarity(forward), terms, loss, token_losses)

    def _differentiate_copies(self, raw_z: Tensor) -> tuple[Evaluation, Tensor]:
        """The same where the loss is a mean over copies of z: the predictions are those of z itself."""
        with torch.no_grad():
            evaluation = self.evaluate(raw_z)
        terms, gradient = self._scattering.terms_and_gradient(
            raw_z,
            effective=self._state.effective,
            terms_of=self._terms_of_copies,
            weights=self._settings.weights,
        )
        return replace(evaluation, terms=terms, loss=(terms * self._settings.weights).sum(dim=-1)), gradient

    def _terms_of_copies(self, z: Tensor, copies: int) -> Tensor:
        forward = self._forward(z, self._reading.current, copies=copies)
        return torch.stack([term.value(forward) for term in self._forward.terms], dim=-1)  # (N · C, K)

    @property
    def _course(self) -> Hashable:
        """What `_step` depends on besides tensors."""
        return tuple(term.name for term in self._forward.terms), self._settings.has_plateaus

    @property
    def _shapes(self) -> Hashable:
        """Of tensors that are not always alike: what z says has more or fewer tokens."""
        own = self._reading.current
        return None if own is None else own.shapes

    @property
    def needs_host(self) -> bool:
        """Whether the next step has to wait for the host, which may wait for all steps before."""
        return self._settings.has_recorded or self._reading.is_due(self.running, self._next_step)

    def read(self, z: Tensor) -> None:
        """Read the effective z (N, D) of every run, where a term needs to know what it says."""
        if self._forward.reads_z:
            self._reading.read(z, range(len(self.specs)))

    # Rows

    @property
    def running(self) -> list[int]:
        """The runs that give a row next: neither done nor held."""
        return [run for run in range(len(self.specs)) if not (self._done[run] or self._held[run])]

    def _own_row(self, run: int, decodes: bool | None) -> OwnRow:
        spec, step = self.specs[run], self._next_step[run]
        return OwnRow(
            step=step,
            is_last=step >= spec.steps,
            terms=self._settings.terms_of(run),
            weights=dict(self.weights(run)),
            is_decoded=spec.decodes(step) if decodes is None else decodes,
        )

    @property
    def rows_together(self) -> int:
        """Rows that are best decoded together."""
        return self._make_rows.decode.rows_together

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

    def decode(self, evaluation: Evaluation, runs: Sequence[int]) -> dict[int, DecodedRow]:
        """Texts and measures of some of the runs, at any z that was evaluated."""
        said = Evaluated(evaluation.z.detach(), evaluation.predictions.detach(), runs)
        return self._make_rows.decode([said])[0]

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
        return self._settings.weights_of(run, self._next_step[run])

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
        self._settings.go_by_spec(run)
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
        if self._settings.repeat(run, lr=lr, weights=weights):
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

    def _take_up_specs(self) -> None:
        """Take up what the specs ask for: a term that no run has is not computed."""
        terms = [self._settings.terms_of(run) for run in range(len(self.specs))]
        self._forward.set_terms(terms)
        self._reading.take_up(terms)
        self._settings.take_up([term.name for term in self._forward.terms], self._next_step)

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
        self._reading.forget(run)
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
