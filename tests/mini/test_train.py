"""The training program, every stage at toy size, on text made up here."""

import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.mini.prepared import load_held_out
from engine.mini.train import main

NAMES = ["Tom", "Lily", "Ben", "Anna", "Max", "Sue"]
THINGS = ["ball", "cake", "boat", "kite", "drum", "hat", "box", "car"]
VERBS = ["found", "lost", "liked", "saw", "made", "wanted"]
SETTINGS = {
    "pieces": 58,
    "embedding_dim": 16,
    "attention_heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "longest": 30,
    "autoencoder_steps": 3,
    "autoencoder_tokens": 128,
    "autoencoder_warmup": 1,
    "generator_hidden": 16,
    "generator_ffn_dim": 16,
    "generator_layers": 1,
    "generator_heads": 2,
    "generator_head_dim": 8,
    "generator_steps": 3,
    "generator_warmup": 1,
    "reconstructed_tokens": 128,
    "context": 4,
    "story_rows": 4,
    "pair_rows": 4,
    "evaluated_sentences": 3,
    "steered_sentences": 2,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Toy matrices are multiplied sooner by one thread than by several that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    chance = random.Random(0)

    def sentence() -> str:
        thing = f"{chance.choice(THINGS)} {chance.randrange(99)}"
        return f"{chance.choice(NAMES)} {chance.choice(VERBS)} the {thing}."

    stories = [" ".join(sentence() for _ in range(5)) for _ in range(150)]
    with lzma.open(directory / "tinystories.txt.xz", "wt") as file:
        file.write("\n<|endoftext|>\n".join(stories))
    with lzma.open(directory / "tatoeba-en.txt.xz", "wt") as file:
        file.write("\n".join(sentence() for _ in range(150)))
    return directory


def train(corpus: Path, out: Path, *more: str, changes: dict[str, int] | None = None) -> int:
    settings = SETTINGS | (changes or {})
    assignments = [f"--set={name}={value}" for name, value in settings.items()]
    return main([str(corpus), str(out), "--device=cpu", *assignments, *more])


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert train(corpus, out) == 0
    return out


def test_writes_what_the_package_ships(trained: Path) -> None:
    files = {path.relative_to(trained / "weights").as_posix() for path in (trained / "weights").rglob("*.*")}
    assert files == {
        "encoder.safetensors",
        "decoder.safetensors",
        "tokenizer.model",
        "generator/config.json",
        "generator/model.safetensors",
    }


def test_writes_the_numbers_of_the_model_card(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["settings"]["sizes"]["embedding_dim"] == 16
    assert metrics["mean_norm"] == pytest.approx(0.207, rel=0.05)
    assert metrics["round_trip"]["tinystories"]["sentences"] == 3
    # A model that was hardly trained is about as good as guessing one of 63 tokens: ln 63 = 4.1.
    assert 3 < metrics["next_sentence_cross_entropy"]["one_before"] < 8
    steered = metrics["held_out_targets"]["cross_entropy"]
    assert steered["after_200"]["mean_loss"] < steered["after_50"]["mean_loss"]


def test_held_out_text_is_not_trained_on(corpus: Path, trained: Path) -> None:
    held_out = load_held_out(trained)
    with lzma.open(corpus / "tinystories.txt.xz", "rt") as file:
        stories = file.read().split("\n<|endoftext|>\n")
    kept_out = {" ".join(story) for story in held_out.stories}
    assert kept_out
    training = " ".join(story for story in stories if story not in kept_out)
    assert held_out.sentences["tinystories"]
    assert not [sentence for sentence in held_out.sentences["tinystories"] if sentence in training]


def test_goes_on_after_the_last_finished_stage(corpus: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("text.npz", "held_out.json", "weights/tokenizer.model", "autoencoder/encoder.safetensors"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes((trained / name).read_bytes())
    kept = out / "text.npz"
    written = kept.stat().st_mtime_ns
    assert train(corpus, out, "--stage=autoencoder") == 0
    assert train(corpus, out, "--stage=generator") == 0
    assert kept.stat().st_mtime_ns == written
    same = [
        (out / name).read_bytes() == (trained / name).read_bytes()
        for name in ("autoencoder/decoder.safetensors", "weights/generator/model.safetensors")
    ]
    assert all(same), "a stage that is repeated with the same seed gives the same weights"


def test_other_sizes_than_the_finished_stages_are_refused(
    corpus: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in trained.rglob("*.*"):
        if "generator" not in path.parts and path.is_file():
            copy = tmp_path / path.relative_to(trained)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    assert train(corpus, tmp_path, "--stage=generator", changes={"embedding_dim": 32}) == 2
    assert "encoder.safetensors: was made with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set=noises=1"], "unknown name"),
        (["--set=noise=much"], "expected a number of type float"),
        (["--stage=text"], "no *.txt.xz file"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
