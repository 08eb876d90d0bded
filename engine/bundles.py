"""Named model bundles: which encoder, decoder, tokenizer and generator belong together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.mini import GENERATOR_FOLDER, LANGUAGE, PRIOR_FILE, TOKENIZER_FILE, WEIGHTS


@dataclass(frozen=True)
class Bundle:
    """Where the parts of a bundle come from; nothing is loaded here."""

    name: str
    summary: str
    encoder: str
    """fairseq2 asset card of the SONAR encoder; its tokenizer goes by the same name."""

    decoder: str
    """fairseq2 asset card of the SONAR decoder; its tokenizer goes by the same name."""

    generator: str
    """Directory in SONAR-LLM's layout, or a Hugging Face id."""

    max_tokens: int
    """Positions of encoder and decoder: the longest text in tokens, control symbols included."""

    licence: str
    language: str = LANGUAGE
    languages: tuple[str, ...] | None = None
    """Every language of its tokenizer; None: only the tokenizer itself can tell."""
    dimension: int | None = None
    """D, the dimension of an embedding; None: the generator's configuration says it."""
    tokenizer_model: Path | None = None
    """SentencePiece model where it is known to be on disk: texts can then be measured without the models."""
    prior: Path | None = None
    """Statistics of sentence embeddings, where there are any (engine.models.prior)."""


def _sonar_llm(size: str) -> Bundle:
    return Bundle(
        name=f"sonar-llm-{size}",
        summary=f"SONAR-LLM {size.upper()} with SONAR's text encoder and decoder",
        encoder="text_sonar_basic_encoder",
        decoder="text_sonar_basic_decoder",
        generator=f"raxtemur/sonar-llm-{size}",
        max_tokens=512,
        dimension=1024,
        licence="SONAR's weights: CC-BY-NC 4.0",
    )


BUNDLES: Mapping[str, Bundle] = {
    bundle.name: bundle
    for bundle in (
        Bundle(
            name="mini",
            summary="embedded toy models of the same architectures, trained on simple English",
            encoder="sonar_mini_encoder",
            decoder="sonar_mini_decoder",
            generator=str(WEIGHTS / GENERATOR_FOLDER),
            max_tokens=128,
            licence="MIT; trained on Tatoeba (CC-BY 2.0 FR) and TinyStories among others",
            languages=(LANGUAGE,),
            tokenizer_model=WEIGHTS / TOKENIZER_FILE,
            prior=WEIGHTS / PRIOR_FILE,
        ),
        *(_sonar_llm(size) for size in ("100m", "300m", "600m", "900m", "1.3b")),
    )
}
"""Every bundle by its name."""


def find_bundle(name: str) -> Bundle:
    """Return the bundle of this name, or raise a UserError that lists them."""
    try:
        return BUNDLES[name]
    except KeyError:
        raise UserError(f"bundle: {name!r} is unknown; there are {', '.join(BUNDLES)}") from None


def check_language(field: str, language: str, bundle: Bundle) -> None:
    """Refuse a language that a bundle is known not to have, with a UserError that begins with the field."""
    if bundle.languages is not None and language not in bundle.languages:
        known = ", ".join(bundle.languages)
        raise UserError(f"{field}: {language!r}: bundle {bundle.name} has {known}")


def embedding_dimension(bundle: Bundle) -> int | None:
    """D, as far as it can be known without loading a model; None where only the models can tell."""
    if bundle.dimension is not None:
        return bundle.dimension
    try:
        configuration = json.loads((Path(bundle.generator) / "config.json").read_text(encoding="utf-8"))
        return int(configuration["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError):  # not on disk, or not for this program to judge
        return None
