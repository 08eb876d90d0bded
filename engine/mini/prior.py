"""Fit the prior of the mini bundle: `python -m engine.mini.prior CORPUS_DIR`.

Sentences of the corpus are embedded by the encoder as it is stored. The mean and variance of four in five are
written where the bundle has them; the fifth ones tell how typical a sentence is that was not among those.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from engine.errors import UserError
from engine.mini import PRIOR_FILE, TOKENIZER_FILE, WEIGHTS
from engine.mini.architecture import MINI
from engine.mini.corpus import read_corpus, stable_order
from engine.mini.settings import Settings
from engine.mini.tokenizer import Tokenizer
from engine.mini.validation import embed
from engine.models.loading import load_bundle
from engine.models.prior import Prior, fit, save_prior
from engine.objective.terms.prior import squared_mahalanobis

SENTENCES = 25_000
CHECKED = 5
"""Every fifth sentence is left out of the fit and checked."""


@dataclass(frozen=True)
class Fit:
    """A prior, and how far from it embeddings are that it was not fitted on."""

    prior: Prior
    fitted: int
    """Sentences that it was fitted on."""

    sentences: Tensor
    """Squared Mahalanobis distances of other sentences, a coordinate. # (M,)"""

    directions: Tensor
    """Those of random directions of the same norms. # (M,)"""


def corpus_sentences(corpus: Path, most: int) -> list[str]:
    """Distinct training sentences of a corpus, in a fixed, shuffled order.

    Raises:
        UserError: the corpus cannot be read.
    """
    distinct = {sentence for source in read_corpus(corpus) for sentence in source.training_sentences()}
    return sorted(distinct, key=stable_order)[:most]


def fit_and_check(embeddings: Tensor) -> Fit:
    """Fit four in five embeddings (N, D) of distinct sentences and measure the others.

    Raises:
        UserError: they are too few.
    """
    is_checked = torch.arange(len(embeddings)) % CHECKED == CHECKED - 1
    prior = fit(embeddings[~is_checked])
    checked = embeddings[is_checked]
    random = torch.randn(checked.shape, generator=torch.Generator().manual_seed(0))
    directions = random / random.norm(dim=-1, keepdim=True) * checked.norm(dim=-1, keepdim=True)
    return Fit(
        prior,
        int((~is_checked).sum()),
        squared_mahalanobis(checked, *prior),
        squared_mahalanobis(directions, *prior),
    )


@torch.inference_mode()
def embed_all(texts: Sequence[str]) -> Tensor:
    """Embeddings (N, D) of the texts that are not longer than what was trained on, by the mini encoder."""
    tokenizer = Tokenizer(WEIGHTS / TOKENIZER_FILE)
    longest = Settings().longest
    fitting = [text for text, ids in zip(texts, tokenizer.encode(texts), strict=True) if len(ids) <= longest]
    encoder = load_bundle("mini", device="cpu").encoder
    return embed(encoder, tokenizer, fitting, MINI)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.mini.prior",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS_DIR")
    parser.add_argument("--to", type=Path, default=WEIGHTS / PRIOR_FILE, help="the file that is written")
    given = parser.parse_args(arguments)
    try:
        fitted = fit_and_check(embed_all(corpus_sentences(given.corpus, SENTENCES)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    save_prior(fitted.prior, given.to, count=fitted.fitted)
    print(f"fitted on {fitted.fitted} sentences; squared Mahalanobis distance / D of")
    for name, distances in (
        ("other sentences", fitted.sentences),
        ("random directions of their norms", fitted.directions),
    ):
        print(f"  {len(distances)} {name}: mean {distances.mean():.3f}, spread {distances.std():.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
