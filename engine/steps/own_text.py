"""What z itself says: decoded, and encoded again. Some terms and constraints need to know it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from engine.decoding import decode
from engine.errors import UserError
from engine.models.loaded import LoadedBundle, Targets
from engine.spec import RunSpec


@dataclass(frozen=True)
class OwnText:
    """What the z of N runs were read as."""

    texts: tuple[str, ...]
    """decode(z)"""

    round_trip: Tensor
    """encode(decode(z)). # (N, D)"""

    tokens: Targets | None
    """The texts, for the decoder under teacher forcing; None where nothing needs them."""

    shapes: Hashable
    """Stands for those of the tokens. While it is kept, tokens of these shapes go on lying where these do."""


class OwnTexts:
    """Remembers what each of N runs was last read as."""

    def __init__(self, bundle: LoadedBundle, runs: int) -> None:
        self._bundle = bundle
        self._texts: list[str | None] = [None] * runs
        self._languages: list[str | None] = [None] * runs
        self._current: OwnText | None = None
        self._needs_tokens = False
        # A step that was captured reads these where they lie.
        self._round_trips = torch.zeros(runs, bundle.dim, device=bundle.device)  # (N, D)
        self._places: WeakValueDictionary[Hashable, Targets] = WeakValueDictionary()

    def need_tokens(self, needs: bool) -> None:
        """Say whether the texts are needed as tokens too."""
        if needs != self._needs_tokens:
            self._needs_tokens, self._current = needs, None

    def knows(self, run: int) -> bool:
        """Whether the run has been read."""
        return self._texts[run] is not None

    def forget(self, run: int) -> None:
        """Take it that the run was never read."""
        self._texts[run], self._current = None, None

    def read(
        self, z: Tensor, specs: Sequence[RunSpec], most_tokens: Sequence[int], *, runs: Sequence[int]
    ) -> None:
        """Decode the effective z of some runs, and encode the texts again.

        Args:
            z: of N runs. # (N, D)
            specs: of N runs: their beams and languages.
            most_tokens: that each run's text may have, unless its spec says otherwise.
            runs: those to read.
        """
        chosen = [specs[run] for run in runs]
        texts = decode_each(self._bundle, chosen, z[list(runs)], [most_tokens[run] for run in runs])
        for run, spec, text in zip(runs, chosen, texts, strict=True):
            self._texts[run], self._languages[run] = text, spec.target_lang
            self._round_trips[run] = encode_own(self._bundle, text, spec.target_lang)
        self._current = None

    @property
    def current(self) -> OwnText:
        """What the runs were last read as; for one that was not, an empty text and zeros."""
        if self._current is None:
            texts = tuple(text or "" for text in self._texts)
            tokens, place = self._placed(texts) if self._needs_tokens else (None, None)
            self._current = OwnText(texts, self._round_trips, tokens, shapes=place)
        return self._current

    def _placed(self, texts: Sequence[str]) -> tuple[Targets, Targets]:
        """The texts as tokens, where those lie that were alike in shape; and what keeps that place."""
        tokens = own_tokens(self._bundle, texts, self._languages)
        place = self._places.setdefault(_shapes(tokens), tokens)
        for name in ("fed", "expected", "mask", "beginning", "real"):
            if (tensor := getattr(place, name)) is not None:
                tensor.copy_(getattr(tokens, name))
        return replace(place, lengths=tokens.lengths), place


def _shapes(tokens: Targets) -> Hashable:
    return tuple(tokens.mask.shape), None if tokens.real is None else len(tokens.real)


def encode_own(bundle: LoadedBundle, text: str, language: str | None) -> Tensor:
    """Embedding of a text that was decoded. # (D,)"""
    return bundle.encode([_fitting(bundle, text, language)], languages=[language]).squeeze(0)


def own_tokens(bundle: LoadedBundle, texts: Sequence[str], languages: Sequence[str | None]) -> Targets:
    """Texts that were decoded, for the decoder under teacher forcing."""
    fitting = [_fitting(bundle, text, language) for text, language in zip(texts, languages, strict=True)]
    return bundle.targets(fitting, languages=languages)


def decode_each(
    bundle: LoadedBundle,
    specs: Sequence[RunSpec],
    embeddings: Tensor,
    most_tokens: Sequence[int],
    *,
    together: int | None = None,
) -> list[str]:
    """Decode R embeddings (R, D), each as its spec says; those with the same beam in one batch.

    Args:
        bundle: the models.
        specs: one for each embedding.
        embeddings: (R, D), finite.
        most_tokens: that each text may have, unless its spec says otherwise.
        together: as to `engine.decoding.decode`.
    """
    by_beam: dict[int, list[int]] = {}
    for place, spec in enumerate(specs):
        by_beam.setdefault(spec.beam, []).append(place)
    texts = [""] * len(specs)
    for beam, places in by_beam.items():
        decoded = decode(
            bundle,
            embeddings[places],
            beam=beam,
            max_tokens=[specs[place].max_decoded_tokens or most_tokens[place] for place in places],
            language=[specs[place].target_lang for place in places],
            together=together,
        )
        for place, text in zip(places, decoded, strict=True):
            texts[place] = text
    return texts


def _fitting(bundle: LoadedBundle, text: str, language: str | None) -> str:
    """The text, or as much of its beginning as the models take.

    A decoded text may have more tokens than it was made of when it is cut into tokens anew.
    """
    while True:
        try:
            bundle.check_text(text, language=language)
        except UserError:
            text = text[: len(text) * 9 // 10]
        else:
            return text
