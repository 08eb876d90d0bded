"""The shipped statistics of sentence embeddings, and the program that makes them."""

import lzma
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.bundles import find_bundle
from engine.mini.prior import embed_all, main
from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle
from engine.models.prior import load_prior
from engine.objective.terms.prior import squared_mahalanobis

SENTENCES = [
    "I like cheese.",
    "Once upon a time, there was a little girl named Lily.",
    "It is raining today.",
    "Tom's dog doesn't like the cold water.",
    "She opened the small wooden box and found a golden key inside.",
    "My grandmother bakes bread every Sunday morning.",
    "The train to London leaves at 7:30.",
    "Nobody knew why the lighthouse had gone dark.",
]


@pytest.fixture(scope="module")
def bundle() -> LoadedBundle:
    return load_bundle("mini", device="cpu")


def test_sentences_are_typical_and_random_directions_are_not(bundle: LoadedBundle) -> None:
    path = find_bundle("mini").prior
    assert path is not None
    prior = load_prior(path)
    embeddings = bundle.encode(SENTENCES)
    sentences = squared_mahalanobis(embeddings, *prior)
    directions = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1))
    directions *= embeddings.norm(dim=-1, keepdim=True) / directions.norm(dim=-1, keepdim=True)
    assert sentences.mean().item() == pytest.approx(1, abs=0.3)
    assert (squared_mahalanobis(directions, *prior) > sentences).all(), "each against a sentence of its norm"


def test_the_program_embeds_as_the_bundle_does(bundle: LoadedBundle) -> None:
    torch.testing.assert_close(embed_all(SENTENCES), bundle.encode(SENTENCES), rtol=1e-4, atol=1e-5)


def test_the_program_writes_the_statistics_of_its_sentences(
    bundle: LoadedBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    names, verbs, numbers = ("Tom", "Anna"), ("ate", "made"), ("two", "ten", "no", "some", "many")
    entries = [f"{name} {verb} {number} cakes." for name, verb, number in product(names, verbs, numbers)]
    with lzma.open(corpus / "tatoeba-en.txt.xz", "wt") as file:
        file.write("\n".join([*entries, *entries]))
    to = tmp_path / "prior.safetensors"

    assert main([str(corpus), "--to", str(to)]) == 0

    fitted = int(load_file(to)["count"])
    assert 12 <= fitted <= 16, "four in five of the sentences that are not held out"
    assert f"fitted on {fitted} sentences" in capsys.readouterr().out
    embeddings = bundle.encode(entries)
    mean, _ = load_prior(to)
    assert (mean - embeddings.mean(dim=0)).norm() < 0.2 * embeddings.norm(dim=-1).mean()


def test_a_corpus_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "prior.safetensors"
    assert main([str(tmp_path), "--to", str(to)]) == 2
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert str(tmp_path) in output.err
    assert not to.exists()
