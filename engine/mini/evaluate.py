"""The numbers of the model card, on the weights as they are stored and on text they were not trained on."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.mini import LANGUAGE
from engine.mini.export import SONAR_NORM, MiniModels
from engine.mini.prepared import TINYSTORIES, HeldOut
from engine.mini.settings import Settings
from engine.mini.steering import LOSSES, Loss, steer
from engine.mini.tokenizer import Tokenizer
from engine.mini.validation import EVERYDAY_SENTENCES, decode_texts, embed, next_sentence_losses, pad
from engine.spec import PUBLISHED_INIT, PUBLISHED_TARGET

Decode = Callable[[Tensor], list[str]]
"""Embeddings (N, D) to texts."""

MOST_WORDS = 20
STEERED_WORDS = range(5, 13)
SNAPSHOTS = (50, 100, 200)
PUBLISHED_STEPS = 100


def greedy_decoding(models: MiniModels, tokenizer: Tokenizer, settings: Settings) -> Decode:
    return partial(
        decode_texts, models.decoder, tokenizer, most_tokens=settings.longest + 10, sizes=settings.sizes
    )


def beam_decoding(models: MiniModels, tokenizer_path: Path, settings: Settings) -> Decode:
    """sonar-space's pipeline with its beam of 5."""
    from fairseq2.models.nllb import NllbTokenizerConfig, load_nllb_tokenizer
    from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline

    tokenizer = load_nllb_tokenizer(
        tokenizer_path, NllbTokenizerConfig(langs=[LANGUAGE], default_lang=LANGUAGE)
    )
    device = next(models.decoder.parameters()).device
    pipeline = EmbeddingToTextModelPipeline(models.decoder, tokenizer, device)

    def decode(embeddings: Tensor) -> list[str]:
        texts: list[str] = pipeline.predict(
            embeddings, target_lang=LANGUAGE, batch_size=64, max_seq_len=settings.longest + 10
        )
        return texts

    return decode


def evaluate(
    models: MiniModels, tokenizer: Tokenizer, held_out: HeldOut, decode: Decode, settings: Settings
) -> dict[str, Any]:
    """All numbers as plain values."""
    to_embeddings = partial(embed, models.encoder, tokenizer, sizes=settings.sizes)
    targets = [s for s in held_out.sentences[TINYSTORIES] if len(s.split()) in STEERED_WORDS]
    targets = targets[: settings.steered_sentences]
    everyday = models.generator(to_embeddings(EVERYDAY_SENTENCES)[:, None])[:, 0]
    return {
        "round_trip": _round_trips(held_out, to_embeddings, decode, settings),
        "mean_norm": to_embeddings(held_out.sentences[TINYSTORIES]).norm(dim=-1).mean().item(),
        "published_norm": SONAR_NORM,
        "next_sentence_cross_entropy": next_sentence_losses(
            models.generator,
            models.encoder,
            models.decoder,
            tokenizer,
            held_out.stories,
            settings.sizes,
            settings.context,
        ),
        "everyday": dict(zip(EVERYDAY_SENTENCES, decode(everyday), strict=True)),
        "published_experiment": {
            loss: _steered(models, tokenizer, [PUBLISHED_TARGET], loss, (PUBLISHED_STEPS,), decode, settings)
            for loss in LOSSES
        },
        "held_out_targets": {
            loss: _steered(models, tokenizer, targets, loss, SNAPSHOTS, decode, settings) for loss in LOSSES
        },
    }


def _round_trips(
    held_out: HeldOut, to_embeddings: Callable[[Sequence[str]], Tensor], decode: Decode, settings: Settings
) -> dict[str, Any]:
    """Of each source, how many sentences of up to 20 words come back exactly."""
    results: dict[str, Any] = {}
    for source, sentences in held_out.sentences.items():
        short = [s for s in sentences if len(s.split()) <= MOST_WORDS][: settings.evaluated_sentences]
        if short:
            decoded = decode(to_embeddings(short))
            exact = sum(text == back for text, back in zip(short, decoded, strict=True))
            results[source] = {"sentences": len(short), "exact": exact}
    return results


def _steered(
    models: MiniModels,
    tokenizer: Tokenizer,
    targets: Sequence[str],
    loss: Loss,
    snapshots: Sequence[int],
    decode: Decode,
    settings: Settings,
) -> dict[str, Any]:
    """Exact matches, mean loss and mean similarity after each number of updates."""
    sizes = settings.sizes
    embeddings = embed(models.encoder, tokenizer, [PUBLISHED_INIT, *targets], sizes)
    tokens, lengths = pad(tokenizer.encode(targets), embeddings.device)
    results: dict[str, Any] = {"targets": len(targets)}
    for snapshot in steer(
        models.generator,
        models.decoder,
        embeddings[0],
        embeddings[1:],
        tokens,
        lengths,
        loss,
        snapshots,
        sizes,
    ):
        decoded = decode(snapshot.predictions)
        results[f"after_{snapshot.step}"] = {
            "exact": sum(text == target for text, target in zip(decoded, targets, strict=True)),
            "mean_loss": snapshot.losses.mean().item(),
            "mean_similarity": snapshot.similarities.mean().item(),
            "example": decoded[0],
        }
    return results
