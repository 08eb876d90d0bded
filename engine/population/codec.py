"""Candidates to texts and back, many at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.decoding import decode
from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.population.pieces import Pieces

_AT_ONCE = 256


class Codec:
    """The encoder and the decoder of a bundle, in one language, for texts of limited length."""

    def __init__(self, bundle: LoadedBundle, *, language: str | None, most_tokens: int) -> None:
        """Nothing is computed yet.

        Args:
            bundle: the models.
            language: of the texts; None: the bundle's own.
            most_tokens: of a decoded text.
        """
        self._bundle = bundle
        self._language = language
        self._most_tokens = most_tokens
        self._pieces = Pieces(_AT_ONCE)

    def texts(self, z: Tensor, *, beam: int = 1) -> list[str]:
        """What each embedding says. # (C, D)"""

        def of_piece(piece: slice) -> list[str]:
            return decode(
                self._bundle, z[piece], beam=beam, max_tokens=self._most_tokens, language=self._language
            )

        return [text for piece in self._pieces.map(of_piece, len(z)) for text in piece]

    def embeddings(self, texts: Sequence[str]) -> Tensor:
        """What each text is as an embedding. # (C, D)"""
        return self._pieces.cat(
            lambda piece: self._bundle.encode_together(texts[piece], language=self._language), len(texts)
        )

    def takes(self, text: str) -> bool:
        """Whether there is something in a text, and the models can take it."""
        try:
            self._bundle.check_text(text, language=self._language)
        except UserError:
            return False
        return bool(text.strip())

    def round_trips(self, z: Tensor, *, beam: int = 1) -> Tensor:
        """Cosine of each embedding and encode(decode(z)). # (C, D) to (C,)"""
        texts = self.texts(z, beam=beam)
        again = torch.zeros_like(z)
        if said := [place for place, text in enumerate(texts) if self.takes(text)]:
            again[said] = self.embeddings([texts[place] for place in said])
        return torch.nn.functional.cosine_similarity(z, again, dim=-1)
