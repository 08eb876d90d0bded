"""The fast decoding beside fairseq2's: the same texts, and how long a token takes.

    python -m benchmarks.decoding [--bundle NAME] [--device DEVICE] [--dtype DTYPE] [--count N]

Texts are compared on embeddings of sentences, the same with noise, and random directions. Where two differ,
both stand there with their scores, the mean log-probability of a token: that of the search.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from engine.decoding import decode
from engine.decoding.reference import decode_with_pipeline
from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle

WHO = ("Tom", "Lily", "The dog", "A little girl", "Her mother", "The old man", "My friend", "The bird")
DID = ("saw", "liked", "took", "wanted", "found", "lost", "had", "looked at", "played with", "made")
WHAT = ("a red ball", "the cat", "some cheese", "a big tree", "his new toy", "the moon", "a small house")
WHERE = ("", " in the garden", " at night", " with a smile", " one day", " near the water")

NOISES = (0.0, 0.5, 1.0)
"""Norm of the noise that is added, in norms of the embedding; the rest are random directions."""

MOST_TOKENS = 40
BEAMS = (1, 5)
ROWS = (2, 128)

Decode = Callable[..., list[str]]
WAYS: dict[str, Decode] = {"fairseq2": decode_with_pipeline, "this": decode}


class Difference(NamedTuple):
    """An embedding that the two ways read differently."""

    fairseq2: str
    this: str
    fairseq2_score: float
    this_score: float


def sentences(count: int) -> list[str]:
    """Simple sentences, always the same for a number; few of them twice."""
    chosen = random.Random(0)
    return [
        f"{chosen.choice(WHO)} {chosen.choice(DID)} {chosen.choice(WHAT)}{chosen.choice(WHERE)}."
        for _ in range(count)
    ]


def some_embeddings(bundle: LoadedBundle, count: int) -> Tensor:
    """Embeddings of sentences, a quarter each: as they are, with some noise, with more, random directions.

    Returns:
        (N, D)
    """
    generator = torch.Generator().manual_seed(0)
    kinds = len(NOISES) + 1
    clean = bundle.encode(sentences(-(-count // kinds))).cpu()  # (Q, D)
    norms = clean.norm(dim=-1, keepdim=True)
    directions = [torch.randn(clean.shape, generator=generator) for _ in range(kinds)]
    directions = [direction / direction.norm(dim=-1, keepdim=True) * norms for direction in directions]
    noisy = [clean + noise * direction for noise, direction in zip(NOISES, directions, strict=False)]
    return torch.stack([*noisy, directions[-1]], dim=1).flatten(0, 1)[:count].to(bundle.device)


def differences(bundle: LoadedBundle, embeddings: Tensor, beam: int) -> list[Difference]:
    """The embeddings (N, D) whose two texts are not the same."""
    texts = {name: way(bundle, embeddings, beam=beam, max_tokens=MOST_TOKENS) for name, way in WAYS.items()}
    pairs = list(zip(texts["fairseq2"], texts["this"], strict=True))
    differing = [place for place, (theirs, ours) in enumerate(pairs) if theirs != ours]
    found = []
    for place in differing:
        scores = score(bundle, embeddings[place].expand(2, -1), pairs[place])
        found.append(Difference(*pairs[place], *scores))
    return found


@torch.no_grad()
def score(bundle: LoadedBundle, embeddings: Tensor, texts: Sequence[str]) -> list[float]:
    """Mean log-probability of a token of each text, given its embedding. # (N, D)"""
    targets = bundle.targets(texts)
    log_probabilities = bundle.logits(embeddings, targets).float().log_softmax(dim=-1)  # (N, T, V)
    of_tokens = log_probabilities.gather(2, targets.expected.unsqueeze(2)).squeeze(2)  # (N, T)
    means: list[float] = ((of_tokens * targets.mask).sum(dim=-1) / targets.mask.sum(dim=-1)).tolist()
    return means


def token_ms(bundle: LoadedBundle, way: Decode, embeddings: Tensor, beam: int) -> float:
    """Milliseconds for each token of the longest text of some embeddings (N, D), `</s>` counted."""
    texts = way(bundle, embeddings, beam=beam, max_tokens=MOST_TOKENS)  # warms up, too
    longest = bundle.targets(texts).mask.shape[1] - 1  # the language's symbol is given
    times = []
    for _ in range(3):
        start = time.perf_counter()
        way(bundle, embeddings, beam=beam, max_tokens=MOST_TOKENS)
        times.append(time.perf_counter() - start)
    return min(times) * 1e3 / longest


def report(bundle: LoadedBundle, count: int, rows: Sequence[int] = ROWS) -> None:
    """Print how often the texts agree, where they do not, and the times."""
    embeddings = some_embeddings(bundle, count)
    for beam in BEAMS:
        found = differences(bundle, embeddings, beam)
        print(f"beam {beam}: {count - len(found)} of {count} texts are the same")
        for one in found:
            print(f"  fairseq2 {one.fairseq2_score:.6f} {one.fairseq2!r}")
            print(f"  this     {one.this_score:.6f} {one.this!r}")
    print("ms a token of the longest text | fairseq2 | this | times as fast")
    for number in rows:
        for beam in BEAMS:
            some = embeddings[torch.arange(number) % len(embeddings)]
            theirs, ours = (token_ms(bundle, way, some, beam) for way in WAYS.values())
            print(f"{number} rows, beam {beam} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.1f}")


def main() -> None:
    """Load a bundle and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decoding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", default="mini")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--count", type=int, default=1000, help="embeddings to compare")
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle, device=asked.device, dtype=asked.dtype)
    bundle.use_threads()
    print(f"{bundle.bundle.name} on {bundle.device}, {asked.dtype}, torch {torch.__version__}")
    report(bundle, asked.count)


if __name__ == "__main__":
    main()
