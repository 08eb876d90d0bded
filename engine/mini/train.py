"""Train the mini models: `python -m engine.mini.train CORPUS_DIR OUT_DIR`.

Four stages, each saved in OUT_DIR when it is done and not repeated: the text (sentences, tokenizer, ids), the
auto-encoder, the generator, and the evaluation. OUT_DIR/weights then holds what the package ships, and
OUT_DIR/metrics.json the numbers of the model card. Delete a stage's files to train it again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from engine.errors import UserError
from engine.mini import DECODER_FILE, ENCODER_FILE, GENERATOR_FOLDER, TOKENIZER_FILE
from engine.mini.autoencoder import create_models, train_autoencoder
from engine.mini.evaluate import beam_decoding, evaluate, greedy_decoding
from engine.mini.export import SONAR_NORM, MiniModels, load_half, load_models, rescale, save_half, save_models
from engine.mini.next_sentence import create_generator, encode_all, train_generator
from engine.mini.prepared import HELD_OUT_FILE, TEXT_FILE, load_held_out, load_text, prepare_text
from engine.mini.settings import Settings
from engine.mini.tokenizer import Tokenizer

WEIGHTS_FOLDER = "weights"
AUTOENCODER_FOLDER = "autoencoder"
METRICS_FILE = "metrics.json"


class Training:
    """The stages over one directory."""

    def __init__(self, corpus: Path, directory: Path, settings: Settings, device: torch.device) -> None:
        self._corpus = corpus
        self._directory = directory
        self._weights = directory / WEIGHTS_FOLDER
        self._settings = settings
        self._device = device

    def prepare_text(self) -> None:
        if self._have(TEXT_FILE, HELD_OUT_FILE, f"{WEIGHTS_FOLDER}/{TOKENIZER_FILE}"):
            return
        self._weights.mkdir(parents=True, exist_ok=True)
        prepare_text(self._corpus, self._directory, self._weights / TOKENIZER_FILE, self._settings)

    def train_autoencoder(self) -> None:
        folder = self._directory / AUTOENCODER_FOLDER
        if self._have(f"{AUTOENCODER_FOLDER}/{ENCODER_FILE}", f"{AUTOENCODER_FOLDER}/{DECODER_FILE}"):
            return
        torch.manual_seed(self._settings.seed)
        encoder, decoder = create_models(self._settings.sizes)
        encoder.to(self._device)
        decoder.to(self._device)
        sentences = load_text(self._directory, self._settings).sentences.to(self._device)
        train_autoencoder(encoder, decoder, sentences, self._settings, _printer("auto-encoder"))
        save_half(encoder, folder / ENCODER_FILE)
        save_half(decoder, folder / DECODER_FILE)

    def train_generator(self) -> None:
        if self._have(f"{WEIGHTS_FOLDER}/{GENERATOR_FOLDER}/model.safetensors"):
            return
        torch.manual_seed(self._settings.seed)
        encoder, decoder = create_models(self._settings.sizes)
        load_half(encoder, self._directory / AUTOENCODER_FOLDER / ENCODER_FILE)
        load_half(decoder, self._directory / AUTOENCODER_FOLDER / DECODER_FILE)
        generator = create_generator(self._settings)
        models = MiniModels(encoder.to(self._device), decoder.to(self._device), generator.to(self._device))
        text = load_text(self._directory, self._settings).to(self._device)
        train_generator(
            models.generator, models.encoder, models.decoder, text, self._settings, _printer("generator")
        )
        mean_norm = encode_all(models.encoder, text.sentences, self._settings).norm(dim=-1).mean().item()
        rescale(models, SONAR_NORM / mean_norm)
        save_models(models, self._weights)

    def evaluate(self, greedy: bool) -> None:
        """Evaluate again even if there are numbers: it is quick, and the weights may have changed."""
        models = load_models(self._weights, self._settings.sizes, self._device)
        tokenizer_path = self._weights / TOKENIZER_FILE
        tokenizer = Tokenizer(tokenizer_path)
        if greedy:
            decode = greedy_decoding(models, tokenizer, self._settings)
        else:
            decode = beam_decoding(models, tokenizer_path, self._settings)
        metrics = evaluate(models, tokenizer, load_held_out(self._directory), decode, self._settings)
        text = json.dumps({"settings": self._settings.to_json(), **metrics}, indent=2, ensure_ascii=False)
        (self._directory / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
        print(text)

    def _have(self, *names: str) -> bool:
        return all((self._directory / name).exists() for name in names)


def _printer(stage: str) -> Callable[[int, dict[str, float]], None]:
    start = time.monotonic()

    def report(step: int, numbers: dict[str, float]) -> None:
        losses = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        print(f"{stage}  step {step}  {losses}  {time.monotonic() - start:.0f} s", flush=True)

    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.mini.train", description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path, metavar="CORPUS_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument(
        "--stage", choices=("text", "autoencoder", "generator", "evaluate"), help="only this one"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--greedy", action="store_true", help="evaluate by greedy decoding, not by beam search"
    )
    options = parser.parse_args(arguments)
    try:
        training = Training(
            options.corpus, options.out, Settings().with_changes(options.set), torch.device(options.device)
        )
        stages: dict[str, Callable[[], None]] = {
            "text": training.prepare_text,
            "autoencoder": training.train_autoencoder,
            "generator": training.train_generator,
            "evaluate": lambda: training.evaluate(options.greedy),
        }
        for name in [options.stage] if options.stage else stages:
            print(f"{name}", flush=True)
            stages[name]()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
