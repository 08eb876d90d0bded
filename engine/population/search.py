"""Population search: texts whose embeddings are varied, decoded, encoded again and kept where they are best.

    kept texts ─▶ z + noise ─▶ gradient steps ─▶ decode ─▶ new texts ─▶ encode ─▶ loss, round trip ─▶ kept
         ▲                                                      ▲                                      │
         ├──── spliced, dropped, replaced words, if asked ──────┘                                      │
         └─────────────────────────────────────────────────────────────────────────────────────────────┘

Row k stands for the best text after k generations: its z is encode(text), so that this text alone has the
row's loss and makes the model say the row's prediction. It is what the row says that z says; how near the
decoder comes to it is the row's round trip, cosine(z, encode(decode(z))).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.decoding import matches
from engine.errors import UserError
from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from engine.objective.terms.cosine import similarity
from engine.population.candidates import SEEN_AT_MOST, Candidates, joined, key_of
from engine.population.codec import Codec
from engine.population.judge import Judge
from engine.population.movement import Movement, places
from engine.population.words import varied
from engine.spec import RunSpec, with_changes
from engine.steps.decoded_rows import DecodedRow, Decoder, Evaluated
from engine.steps.initial import initial_z
from engine.steps.record import Record
from engine.steps.step import Step, Vector

SEEDS_A_CANDIDATE = 2
"""So many first texts are made for each candidate of a generation, where they are not given."""

STANDING_AMONG = 8
"""Which one stands for all of them is looked for among so many of the best."""

_ROUND_TRIPS_AT_ONCE = 64


class PopulationSearch:
    """One run as a population of texts; `engine.search.Search` says what its methods are."""

    def __init__(
        self, specs: Sequence[RunSpec], bundle: LoadedBundle, *, initial: Vector | None = None
    ) -> None:
        """Encode the sentences and the initial z.

        Args:
            specs: of one run. Its bundle, device and dtype say what to load; here, what is loaded counts.
            bundle: the models.
            initial: z to start from, in place of the spec's init. # (1, D)

        Raises:
            UserError: a text is too long for the models, in a language that they do not have, or an initial z
                is missing or unusable.
        """
        (spec,) = specs
        self.specs = [spec]
        self.bundle = bundle
        bundle.use_threads()
        z = initial_z(self.specs, bundle, initial)  # (1, D)
        self._judge = Judge(spec, bundle, z)
        self._codec = Codec(bundle, language=spec.target_lang, most_tokens=self._judge.most_tokens)
        self._kept = Candidates.none(bundle.dim, bundle.device)
        self._next_step = 0
        self._done = False
        self._is_held = False
        self._as_recorded: tuple[float, dict[str, float]] | None = None
        self.raw_initial_z: Vector = z.cpu().numpy().copy()
        self.target_vector: Vector = self._judge.forward.target_embeddings[:, 0].cpu().numpy().copy()
        self._decoder = Decoder(bundle, self._judge.forward, self.specs, initial_z=self.raw_initial_z)

    def advance(self, *, decodes: bool | None = None) -> list[Step]:
        """Make the row of the best candidate, then a generation, if one follows.

        Args:
            decodes: without a meaning here: every row has its texts.
        """
        if self._done or self._is_held:
            return []
        began = time.perf_counter()
        self.bundle.use_threads()
        self._judge.take_weights(self._weights)
        self._bring_up_to_date()
        state_hash = self._kept.hash(self._next_step)
        z = self._exact_z()  # (1, D)
        searched_s = time.perf_counter() - began
        row = self._row(z, state_hash)
        began = time.perf_counter()
        if row.lr is not None:
            self._make_generation(row.lr)
        self._done = row.lr is None
        self._next_step += row.lr is not None
        elapsed_ms = (searched_s + time.perf_counter() - began) * 1000
        return [replace(row, elapsed_ms=elapsed_ms)]

    # What a row stands for

    def _bring_up_to_date(self) -> None:
        """Seed, or judge again where something has changed that the losses depend on."""
        judged_by = self._judge.digest
        if not len(self._kept):
            self._kept = replace(self._kept, judged_by=judged_by)
            self._admit(self._seeds())
            if not len(self._kept):
                raise UserError("population.seeds: none of them is a text that the models take")
        elif not torch.equal(self._kept.judged_by, judged_by):
            again = replace(
                self._kept,
                losses=self._judge.losses(self._kept.z),
                seen=_keys(self._kept.texts),
                judged_by=judged_by,
            )
            self._kept = self._best(again)
        self._kept = self._best_first(self._kept)

    def _exact_z(self) -> Tensor:
        """The embedding of the best text as it is alone, whatever stood beside it. # (1, D)"""
        return self.bundle.encode([self._kept.texts[0]], languages=[self.specs[0].target_lang])

    def _row(self, z: Tensor, state_hash: str) -> Step:
        spec, step, forward_pass = self.specs[0], self._next_step, self._judge.forward
        raw = z.detach().requires_grad_()
        forward = forward_pass(raw, None)
        terms = self._judge.terms(forward)
        loss = self._judge.weighted(terms)  # (1,)
        with ALONE:
            (gradient,) = torch.autograd.grad(loss.sum(), raw)
        with torch.no_grad():
            token_losses = forward_pass.token_losses(forward.predictions)
        measured = {
            "loss": loss.unsqueeze(-1),
            "terms": torch.stack(list(terms.values()), dim=-1),
            "similarity": similarity(forward).unsqueeze(-1),
            "grad_norm": gradient.norm(dim=-1, keepdim=True),
            "z_norm": z.norm(dim=-1, keepdim=True),
            "z": z,
            "prediction": forward.predictions[:, 0],
            "token_losses": token_losses,
        }
        record = Record({name: tensor.detach().cpu().numpy() for name, tensor in measured.items()})
        decoded = self._decoded(z, forward.predictions) if record.is_finite(0) else None
        of_tokens = record.token_losses(0, forward_pass.sentence_tokens(0))
        goes_on = decoded is not None and step < spec.steps and not self._stops_at(decoded)
        return Step(
            step=step,
            loss=record.number(0, "loss"),
            terms=dict(zip(terms, record.numbers(0, "terms"), strict=True)),
            weights=dict(self._weights),
            similarity=record.number(0, "similarity"),
            grad_norm=record.number(0, "grad_norm"),
            z_norm=record.number(0, "z_norm"),
            lr=self._lr if goes_on else None,
            elapsed_ms=0.0,
            z=record.vector(0, "z"),
            prediction=record.vector(0, "prediction"),
            decoded_z=decoded.decoded_z if decoded else None,
            decoded_prediction=decoded.decoded_prediction if decoded else None,
            match=decoded.match if decoded else None,
            sentences=decoded.sentences(of_tokens) if decoded else (),
            measures=decoded.measures if decoded else {},
            reread_prediction=decoded.reread_prediction if decoded else None,
            token_losses=tuple(loss for losses in of_tokens for loss in losses),
            state_hash=state_hash,
        )

    def _decoded(self, z: Tensor, predictions: Tensor) -> DecodedRow:
        said = Evaluated(z, predictions.detach(), runs=[0], embedded={0: self._kept.texts[0]})
        return self._decoder([said])[0][0]

    def _stops_at(self, decoded: DecodedRow) -> bool:
        return decoded.match and self.specs[0].option("population.stop") == "match"

    # A generation

    def _seeds(self) -> list[str]:
        """The first texts."""
        spec, dim, device = self.specs[0], self.bundle.dim, self.bundle.device
        kind, given = spec.option("population.seeds"), spec.option("population.sentences")
        if kind == "sentences" and isinstance(given, tuple):
            return list(given)
        count = SEEDS_A_CANDIDATE * int(spec.number("population.candidates"))
        draws = self._draws(0).standard_normal((count, dim), np.float32)
        directions = torch.from_numpy(draws).to(device)
        directions /= directions.norm(dim=-1, keepdim=True)
        if kind == "random":
            return self._codec.texts(directions * self.bundle.embedding_norm)
        z = torch.from_numpy(self.raw_initial_z).to(device)  # (1, D)
        norm = z.norm(dim=-1, keepdim=True)
        shares = torch.arange(count, device=device).unsqueeze(-1) / count  # (C, 1): the first is z itself
        noisy = z + directions * (norm * spec.number("population.noise") * shares)
        return self._codec.texts(noisy * (norm / noisy.norm(dim=-1, keepdim=True)))

    def _make_generation(self, lr: float) -> None:
        spec, kept = self.specs[0], self._kept
        draws = self._draws(self._next_step + 1)
        movement = Movement.drawn(spec, draws, kept=len(kept), dim=self.bundle.dim, device=self.bundle.device)
        z = movement.of(kept.z, self._judge, lr=lr)
        texts = self._codec.texts(z[z.isfinite().all(dim=-1)])
        spliced = round(len(z) * spec.number("population.words"))
        parents = places(draws, 2 * spliced, among=len(kept)).tolist()
        self._admit([*texts, *varied(kept.texts, parents, draws)])

    def _admit(self, texts: Sequence[str]) -> None:
        """Judge the texts that are new, and keep the best."""
        kept = self._kept
        seen = {*kept.seen.tolist(), *map(key_of, kept.texts)}
        new = [text for text in dict.fromkeys(texts) if key_of(text) not in seen and self._codec.takes(text)]
        if not new:
            return
        z = self._codec.embeddings(new)
        losses = self._judge.losses(z)
        order = losses.argsort(stable=True)
        order = order[losses[order].isfinite()]
        if len(kept) >= self._most_kept:
            order = order[losses[order] < kept.losses.max()]
        found = [kept]
        wanted = self._most_kept
        for first in range(0, len(order), _ROUND_TRIPS_AT_ONCE):
            chosen = order[first : first + _ROUND_TRIPS_AT_ONCE]
            part = Candidates(
                texts=tuple(new[place] for place in chosen.tolist()),
                z=z[chosen],
                losses=losses[chosen],
                round_trips=self._round_trips(z[chosen]),
                seen=kept.seen,
                judged_by=kept.judged_by,
            )
            found.append(part)
            wanted -= int((part.round_trips >= self._least_round_trip).sum())
            if wanted <= 0:
                break
        remembered = torch.cat([kept.seen, _keys(new)])[-SEEN_AT_MOST:]
        self._kept = replace(self._best(joined(found)), seen=remembered)

    def _best(self, candidates: Candidates) -> Candidates:
        """Those that are kept: with the round trip that is asked for, while there are such at all."""
        passes = candidates.round_trips >= self._least_round_trip  # (K,)
        if not bool(passes.any()):
            passes = torch.ones_like(passes)
        (allowed,) = passes.nonzero(as_tuple=True)
        order = candidates.losses[allowed].argsort(stable=True)
        return candidates.chosen(allowed[order[: self._most_kept]])

    def _best_first(self, candidates: Candidates) -> Candidates:
        """The candidate that stands for all of them first: of the best, one that makes the model say the
        target, if there is one, and one that keeps its round trip when it is decoded as a row is.
        """
        first = candidates.z[:STANDING_AMONG]
        says_target = self._says_target(first)
        order = sorted(range(len(first)), key=lambda place: not says_target[place])
        keeps = (place for place in order if self._keeps_round_trip(first[place : place + 1]))
        chosen = next(keeps, order[0])
        others = [place for place in range(len(candidates)) if place != chosen]
        return candidates.chosen(torch.tensor([chosen, *others], device=first.device))

    def _says_target(self, z: Tensor) -> list[bool]:
        """Whether each embedding makes the model say all target sentences. # (C, D)"""
        with torch.no_grad():
            predictions = self._judge.forward(z, None, copies=len(z)).predictions  # (C, M, D)
        said = self._codec.texts(predictions.flatten(0, 1), beam=self.specs[0].beam)
        targets = self.specs[0].sentences
        each = [said[first : first + len(targets)] for first in range(0, len(said), len(targets))]
        return [all(map(matches, sentences, targets)) for sentences in each]

    def _keeps_round_trip(self, z: Tensor) -> bool:
        """Whether an embedding (1, D) is what it says, decoded as a row is."""
        least = self._least_round_trip
        return not least or self._codec.round_trips(z, beam=self.specs[0].beam).item() >= least

    def _round_trips(self, z: Tensor) -> Tensor:
        if self._least_round_trip == 0:
            return torch.ones(len(z), device=z.device)
        return self._codec.round_trips(z)

    @property
    def _least_round_trip(self) -> float:
        return self.specs[0].number("population.round_trip")

    @property
    def _most_kept(self) -> int:
        return int(self.specs[0].number("population.keep"))

    def _draws(self, generation: int) -> np.random.Generator:
        """The chances of a generation, from the run's seed and its number alone; 0 are the seeds."""
        # Philox numbers its streams by its key: no two generations of a seed share one.
        return np.random.Generator(np.random.Philox(key=[self.specs[0].seed, generation]))

    # Steering

    @property
    def done(self) -> bool:
        """Whether the run has given its last row."""
        return self._done

    def next_step(self, run: int) -> int:
        """The generation whose row comes next; once it is done, that of its last row."""
        return self._next_step

    @property
    def _weights(self) -> Mapping[str, float]:
        """The weights of the terms in the next row."""
        return (
            self.specs[0].weights_at(self._next_step) if self._as_recorded is None else self._as_recorded[1]
        )

    @property
    def _lr(self) -> float:
        if self._as_recorded is not None:
            return self._as_recorded[0]
        return self.specs[0].lr_at(self._next_step)

    def hold(self, run: int, is_held: bool = True) -> None:
        """Leave the run where it is, without rows, or let it go on."""
        self._is_held = is_held

    def take_spec(self, run: int, spec: RunSpec) -> None:
        """Go on, from the next `advance` on, with the learning rate, weights and schedules of a spec.

        Raises:
            UserError: a term needs what the bundle does not have; nothing has been changed.
        """
        before, self.specs[0] = self.specs[0], spec
        try:
            self._judge.take_weights(spec.weights_at(self._next_step))
        except UserError:
            self.specs[0] = before
            self._judge.take_weights(before.weights_at(self._next_step))
            raise
        self._as_recorded = None

    def repeat(self, run: int, *, lr: float, weights: Mapping[str, float]) -> None:
        """Make the next row with what it was recorded with, and all that follow until `take_spec`."""
        self._as_recorded = (lr, {name: weight for name, weight in weights.items() if weight})

    def extend(self, run: int, steps: int) -> None:
        """Change the number of generations to a larger one; a run that has ended with a match stays ended.

        Raises:
            UserError: the number is not larger, or not allowed.
        """
        before = self.specs[0].steps
        if steps <= before:
            raise UserError(f"steps: {steps}: the run has {before} already")
        self.specs[0] = with_changes(self.specs[0], steps=steps)
        self._done = self._done and self._next_step < before

    # Checkpoints

    def state_bytes(self, run: int) -> bytes:
        """A checkpoint, as safetensors: enough to go on bit for bit."""
        z = self._kept.z[0] if len(self._kept) else torch.from_numpy(self.raw_initial_z[0])
        return self._kept.to_bytes(z=z, count=self._next_step, lr=self.specs[0].lr)

    def restore(self, run: int, data: bytes) -> None:
        """Go on from a checkpoint, with the learning rate of then.

        Raises:
            UserError: the checkpoint is damaged, or belongs to other models, another method or a longer run;
                nothing has been changed.
        """
        kept, step, lr = Candidates.from_bytes(data, dim=self.bundle.dim, device=self.bundle.device)
        if step > self.specs[0].steps:
            raise UserError(f"checkpoint: of step {step}; the run ends with step {self.specs[0].steps}")
        self.go_back(run, (kept, step, lr))

    def copy_of_state(self, run: int) -> tuple[Candidates, int, float]:
        """The state, kept in memory: the candidates, the next step and the learning rate."""
        return self._kept, self._next_step, self.specs[0].lr

    def go_back(self, run: int, state: tuple[Candidates, int, float]) -> None:
        """Go on from a copy of the state."""
        self._kept, self._next_step, lr = state
        self._done = False
        self.specs[0] = with_changes(self.specs[0], lr=lr)

    def close(self) -> None:
        """Nothing goes on between two rows."""


def _keys(texts: Sequence[str]) -> Tensor:
    """Keys of texts. # (S,) int64"""
    return torch.tensor([key_of(text) for text in texts], dtype=torch.int64)
