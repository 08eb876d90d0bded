"""The decoded rows of a step: texts of z and of the predictions, and what is measured of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.decoding import matches
from engine.forward_pass import ForwardPass
from engine.measures import MEASURES, Reading
from engine.models.loaded import LoadedBundle
from engine.objective.terms.cross_entropy import sentence_cross_entropy
from engine.own_text import decode_each, encode_own, own_tokens
from engine.spec import RunSpec
from engine.step import Sentence, Vector

DECODED_LENGTH_FACTOR = 3
"""A decoded text has at most so many times the tokens of the longest target sentence, unless the spec says
otherwise."""


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


@dataclass(frozen=True)
class _Reread:
    """What the models make of the text of a z."""

    round_trip: Tensor
    """encode(decode(z)). # (D,)"""
    own_ce: float
    """Cross-entropy of z for its own text, nats a token."""
    ce: float
    """Cross-entropy of the target given the round trip."""
    prediction: str


def _measured(reading: Reading) -> dict[str, float]:
    values = {name: measure.value(reading) for name, measure in MEASURES.items()}
    return {name: value for name, value in values.items() if value is not None}


@torch.no_grad()
def decode_rows(
    bundle: LoadedBundle,
    forward: ForwardPass,
    specs: Sequence[RunSpec],
    z: Tensor,
    predictions: Tensor,
    *,
    runs: Sequence[int],
    initial_z: Vector,
    embedded: Mapping[int, str] | None = None,
) -> dict[int, DecodedRow]:
    """Decode z and the predictions of some of N runs, all in one batch where they can be, and measure them.

    Args:
        bundle: the models.
        forward: of the N runs.
        specs: of the N runs.
        z: effective z. # (N, D)
        predictions: in the place of each target sentence. # (N, M, D)
        runs: those to decode.
        initial_z: effective z of step 0. # (N, D)
        embedded: the text of which a run's z is the embedding, where that is known: it is what z says then,
            and the round trip is still by way of the decoder.

    Returns:
        What each of them says.
    """
    known = embedded or {}
    of_z = _decode(bundle, forward, specs, z.unsqueeze(1), predictions, runs=runs)
    measured = [run for run in runs if specs[run].measures == "all"]
    reread = _reread(bundle, forward, specs, z, {run: known.get(run, of_z[run][0]) for run in measured})
    rows = {}
    for run in runs:
        decoded, *predicted = of_z[run]
        text = known.get(run, decoded)
        targets, again = specs[run].sentences, reread.get(run)
        round_trip = None if again is None else again.round_trip
        if round_trip is not None and text != decoded:
            round_trip = encode_own(bundle, decoded, specs[run].target_lang)
        reread_prediction = None if again is None else again.prediction
        reading = Reading(
            target=" ".join(targets),
            decoded_z=text,
            decoded_prediction=" ".join(predicted),
            z=z[run].float().cpu().numpy(),
            init=initial_z[run],
            round_trip=None if round_trip is None else round_trip.cpu().numpy(),
            own_ce=None if again is None else again.own_ce,
            reread_ce=None if again is None else again.ce,
            reread_prediction=reread_prediction,
        )
        values = {} if specs[run].measures == "none" else _measured(reading)
        rows[run] = DecodedRow(text, tuple(predicted), targets, values, reread_prediction)
    return rows


def _decode(
    bundle: LoadedBundle,
    forward: ForwardPass,
    specs: Sequence[RunSpec],
    *embeddings: Tensor,
    runs: Sequence[int],
) -> dict[int, list[str]]:
    """Texts of some runs' embeddings (N, P, D), those of the first tensor first; of each only as many as the
    run has target sentences.
    """
    owners, chosen = [], []
    for each in embeddings:
        for run in runs:
            count = min(each.shape[1], len(specs[run].sentences))
            owners += [run] * count
            chosen.append(each[run, :count])
    if not owners:
        return {}
    most = [DECODED_LENGTH_FACTOR * forward.target_tokens(run) for run in owners]
    texts = decode_each(bundle, [specs[run] for run in owners], torch.cat(chosen), most)
    found: dict[int, list[str]] = {run: [] for run in runs}
    for run, text in zip(owners, texts, strict=True):
        found[run].append(text)
    return found


def _reread(
    bundle: LoadedBundle,
    forward: ForwardPass,
    specs: Sequence[RunSpec],
    z: Tensor,
    texts: Mapping[int, str],
) -> dict[int, _Reread]:
    """Encode the texts of some runs' z (N, D) again, and predict from that.

    A run has none where nothing finite comes of it.
    """
    if not texts:
        return {}
    round_trips = torch.zeros_like(z)  # (N, D)
    for run, text in texts.items():
        round_trips[run] = encode_own(bundle, text, specs[run].target_lang)
    again = forward(round_trips, None)
    losses = again.over_sentences(sentence_cross_entropy(again)).tolist()  # (N,)
    is_finite = again.predictions.isfinite().all(dim=-1).all(dim=-1).tolist()  # (N,)
    runs = [run for run in texts if is_finite[run]]
    predicted = _decode(bundle, forward, specs, again.predictions, runs=runs)
    if not runs:
        return {}
    own = own_tokens(bundle, [texts[run] for run in runs], [specs[run].target_lang for run in runs])
    own_losses = bundle.token_losses(z[runs], own)
    own_ce = (own_losses.sum(dim=-1) / own.mask.sum(dim=-1)).tolist()
    return {
        run: _Reread(round_trips[run], own_ce[place], losses[run], " ".join(predicted[run]))
        for place, run in enumerate(runs)
    }
