"""The decoded rows of steps: texts of z and of the predictions, and what is measured of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.decoding import matches
from engine.measures import MEASURES, Reading
from engine.models.loaded import LoadedBundle
from engine.objective.terms.cross_entropy import sentence_cross_entropy
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec
from engine.steps.forward_pass import ForwardPass
from engine.steps.own_text import decode_each, encode_own, own_tokens
from engine.steps.step import Sentence, Vector

STEPS_TOGETHER = 16
"""On CUDA the rows of so many steps are decoded in one batch, where every step is decoded."""

MOST_TEXTS_TOGETHER = 32
"""Texts in such a batch, at most, unless one step has more: their keys and values take memory."""


@dataclass(frozen=True)
class DecodedRow:
    """What a row says, and what there is to say about that."""

    decoded_z: str
    """decode(z), or the text of which z is known to be the embedding."""
    predictions: tuple[str, ...]
    """What is predicted in the place of each target sentence."""
    targets: tuple[str, ...]
    measures: Mapping[str, float]
    """Those of engine.measures.MEASURES that are known, by name."""
    reread_prediction: str | None
    """What the model predicts from encode(decode(z)); None where it was not asked."""

    @property
    def decoded_prediction(self) -> str:
        """The whole prediction."""
        return " ".join(self.predictions)

    @property
    def matches(self) -> tuple[bool, ...]:
        """Whether each prediction is its target."""
        return tuple(map(matches, self.predictions, self.targets))

    @property
    def match(self) -> bool:
        """Whether all predictions are their targets."""
        return all(self.matches)

    def sentences(self, token_losses: Sequence[Sequence[float]]) -> tuple[Sentence, ...]:
        """What is said in the place of each target sentence; nothing where there is only one.

        Args:
            token_losses: cross-entropy of each token, by target sentences.
        """
        if len(self.targets) == 1:
            return ()
        return tuple(
            Sentence(text, sum(losses) / len(losses), match)
            for text, losses, match in zip(self.predictions, token_losses, self.matches, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What is to be said of one step of N runs."""

    z: Tensor
    """Effective z. # (N, D)"""

    predictions: Tensor
    """In the place of each target sentence. # (N, M, D)"""

    runs: Sequence[int]
    """Those to decode."""

    embedded: Mapping[int, str] = field(default_factory=dict)
    """The text of which a run's z is the embedding, where that is known: it is what z says then, and the
    round trip is still by way of the decoder."""


@dataclass(frozen=True, eq=False)
class _Reread:
    """What the models make of the text of a z."""

    round_trip: Tensor
    """encode(decode(z)). # (D,)"""
    own_ce: float
    """Cross-entropy of z for its own text, nats a token."""
    ce: float
    """Cross-entropy of the target given the round trip."""
    predictions: Tensor
    """In the place of each target sentence. # (M, D)"""


class Decoder:
    """Decodes and measures rows of N runs, those of several steps together."""

    def __init__(
        self,
        bundle: LoadedBundle,
        forward: ForwardPass,
        specs: Sequence[RunSpec],
        *,
        initial_z: Vector,
    ) -> None:
        """Take what the runs have in common.

        Args:
            bundle: the models.
            forward: of the N runs.
            specs: of the N runs.
            initial_z: effective z of step 0. # (N, D)
        """
        self._bundle, self._forward, self._specs, self._initial_z = bundle, forward, specs, initial_z
        self._together = texts_together([(len(spec.sentences), spec.decode_every) for spec in specs])

    @property
    def rows_together(self) -> int:
        """Rows whose texts fill a batch, about: more would be decoded in another one."""
        return max(1, self._together // max(1 + len(spec.sentences) for spec in self._specs))

    @torch.no_grad()
    def __call__(self, steps: Sequence[Evaluated]) -> list[dict[int, DecodedRow]]:
        """What the chosen runs say in each step, all in one batch where they can be, and measured."""
        parts = [
            (run, embeddings)
            for step in steps
            for each in (step.z.unsqueeze(1), step.predictions)
            for run, embeddings in zip(step.runs, each[list(step.runs)], strict=True)
        ]
        found = iter(self._texts(parts))
        texts = []
        for step in steps:
            of_z, of_predictions = ([next(found) for _ in step.runs] for _ in range(2))
            texts.append(
                {
                    run: (decoded, tuple(predicted))
                    for run, (decoded,), predicted in zip(step.runs, of_z, of_predictions, strict=True)
                }
            )
        said = [
            {run: step.embedded.get(run, decoded) for run, (decoded, _) in of_step.items()}
            for step, of_step in zip(steps, texts, strict=True)
        ]
        reread = [self._reread(step.z, of_step) for step, of_step in zip(steps, said, strict=True)]
        again = iter(self._texts([(run, each.predictions) for one in reread for run, each in one.items()]))
        return [
            {
                run: self._row(step, run, *texts[place][run], reread[place].get(run), again)
                for run in step.runs
            }
            for place, step in enumerate(steps)
        ]

    def _row(
        self,
        step: Evaluated,
        run: int,
        decoded: str,
        predicted: tuple[str, ...],
        reread: _Reread | None,
        reread_texts: Iterator[list[str]],
    ) -> DecodedRow:
        spec, text = self._specs[run], step.embedded.get(run, decoded)
        round_trip = None if reread is None else reread.round_trip
        if round_trip is not None and text != decoded:
            round_trip = encode_own(self._bundle, decoded, spec.target_lang)
        reread_prediction = None if reread is None else " ".join(next(reread_texts))
        reading = Reading(
            target=" ".join(spec.sentences),
            decoded_z=text,
            decoded_prediction=" ".join(predicted),
            z=step.z[run].float().cpu().numpy(),
            init=self._initial_z[run],
            round_trip=None if round_trip is None else round_trip.cpu().numpy(),
            own_ce=None if reread is None else reread.own_ce,
            reread_ce=None if reread is None else reread.ce,
            reread_prediction=reread_prediction,
        )
        values = {} if spec.measures == "none" else _measured(reading)
        return DecodedRow(text, predicted, spec.sentences, values, reread_prediction)

    def _texts(self, parts: Sequence[tuple[int, Tensor]]) -> list[list[str]]:
        """Texts of embeddings (P, D), each part a run's: only as many as the run has target sentences."""
        owners: list[int] = []
        chosen = []
        for run, embeddings in parts:
            some = embeddings[: len(self._specs[run].sentences)]
            owners += [run] * len(some)
            chosen.append(some)
        if not owners:
            return []
        most = [DECODED_LENGTH_FACTOR * self._forward.target_tokens(run) for run in owners]
        texts = iter(
            decode_each(
                self._bundle,
                [self._specs[run] for run in owners],
                torch.cat(chosen),
                most,
                together=self._together,
            )
        )
        return [[next(texts) for _ in some] for some in chosen]

    def _reread(self, z: Tensor, said: Mapping[int, str]) -> dict[int, _Reread]:
        """Encode the texts of some runs' z (N, D) again, and predict from that.

        A run has none where that is not to be measured, or nothing finite comes of it. Each step by itself:
        the last bits of these numbers depend on what is computed together.
        """
        texts = {run: text for run, text in said.items() if self._specs[run].measures == "all"}
        if not texts:
            return {}
        round_trips = torch.zeros_like(z)  # (N, D)
        for run, text in texts.items():
            round_trips[run] = encode_own(self._bundle, text, self._specs[run].target_lang)
        again = self._forward(round_trips, None)
        losses = again.over_sentences(sentence_cross_entropy(again)).tolist()  # (N,)
        is_finite = again.predictions.isfinite().all(dim=-1).all(dim=-1).tolist()  # (N,)
        runs = [run for run in texts if is_finite[run]]
        if not runs:
            return {}
        languages = [self._specs[run].target_lang for run in runs]
        own = own_tokens(self._bundle, [texts[run] for run in runs], languages)
        own_losses = self._bundle.token_losses(z[runs], own)
        own_ce = (own_losses.sum(dim=-1) / own.mask.sum(dim=-1)).tolist()
        return {
            run: _Reread(round_trips[run], own_ce[place], losses[run], again.predictions[run])
            for place, run in enumerate(runs)
        }


def _measured(reading: Reading) -> dict[str, float]:
    values = {name: measure.value(reading) for name, measure in MEASURES.items()}
    return {name: value for name, value in values.items() if value is not None}


def texts_together(runs: Sequence[tuple[int, int]]) -> int:
    """Size of the batches: of the runs alone, so that a text is the same whatever is decoded beside it.

    Args:
        runs: of each the number of its target sentences, and how many steps it takes from one that is decoded
            to the next.
    """
    texts = [1 + sentences for sentences, _ in runs]
    of_steps = sum(
        math.ceil(count * STEPS_TOGETHER / every) for count, (_, every) in zip(texts, runs, strict=True)
    )
    return 1 << (max(sum(texts), min(of_steps, MOST_TEXTS_TOGETHER)) - 1).bit_length()
