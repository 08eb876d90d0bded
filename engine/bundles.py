"""Named model bundles: which encoder, decoder, tokenizer and generator belong together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.catalog.cards import CARDS, SONAR_DECODER, SONAR_ENCODER, SONAR_LICENCE, is_address, local_file
from engine.errors import UserError
from engine.mini import GENERATOR_FOLDER, LANGUAGE, PRIOR_FILE, TOKENIZER_FILE, WEIGHTS

DEFAULT_ARCHITECTURE = "basic"
"""fairseq2's name for the shapes of SONAR's published encoder and decoder."""


@dataclass(frozen=True)
class Bundle:
    """Where the parts of a bundle come from; nothing is loaded here."""

    name: str
    summary: str
    encoder: str
    """fairseq2 asset card of the SONAR encoder, or the absolute path or the address of a checkpoint."""

    decoder: str
    """fairseq2 asset card of the SONAR decoder, or the absolute path or the address of a checkpoint."""

    generator: str
    """Directory in SONAR-LLM's layout, as an absolute path, or a Hugging Face id."""

    max_tokens: int
    """Positions of encoder and decoder: the longest text in tokens, control symbols included."""

    licence: str
    language: str = LANGUAGE
    languages: tuple[str, ...] | None = None
    """Every language of its tokenizer; None: only the tokenizer itself can tell."""
    dimension: int | None = None
    """D, the dimension of an embedding; None: the generator's configuration says it."""
    prior: Path | None = None
    """Statistics of sentence embeddings, where there are any (engine.models.prior)."""
    revision: str | None = None
    """Of a generator from Hugging Face: a branch, tag or commit; None: its main branch."""
    tokenizer: str | None = None
    """fairseq2 asset card of a tokenizer, or the absolute path or the address of a SentencePiece model; None:
    the tokenizers of encoder's and decoder's own cards."""
    architecture: str = DEFAULT_ARCHITECTURE
    """fairseq2's name for the shapes of an encoder or decoder that is given as a checkpoint."""
    about_bytes: int | None = None
    """About how large the generator's files are; None: not known before they are here."""

    @property
    def tokenizer_source(self) -> str | None:
        """Path or address of the SentencePiece model; None where only fairseq2 can tell."""
        if self.tokenizer is not None and not is_card(self.tokenizer):
            return self.tokenizer
        card = CARDS.get(self.tokenizer or self.encoder)
        return None if card is None else card.tokenizer

    @property
    def tokenizer_model(self) -> Path | None:
        """SentencePiece model where it is known to be on disk: texts can then be measured without the
        models.
        """
        source = self.tokenizer_source
        return None if source is None else local_file(source)


def is_path(source: str) -> bool:
    """Whether a part of a bundle is given as a path, and not as a card, an address or an id."""
    return Path(source).is_absolute()


def is_card(source: str) -> bool:
    """Whether an encoder, a decoder or a tokenizer is given as an asset card."""
    return not (is_path(source) or is_address(source))


def _sonar_llm(size: str, parameters: int) -> Bundle:
    return Bundle(
        name=f"sonar-llm-{size}",
        summary=f"SONAR-LLM {size.upper()} with SONAR's text encoder and decoder",
        encoder=SONAR_ENCODER,
        decoder=SONAR_DECODER,
        generator=f"raxtemur/sonar-llm-{size}",
        max_tokens=512,
        dimension=1024,
        licence=f"{SONAR_LICENCE}; the generator's: huggingface.co/raxtemur/sonar-llm-{size}",
        about_bytes=4 * parameters,
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
            tokenizer=str(WEIGHTS / TOKENIZER_FILE),
            prior=WEIGHTS / PRIOR_FILE,
        ),
        *(
            _sonar_llm(size, millions * 1_000_000)
            for size, millions in {"100m": 100, "300m": 300, "600m": 600, "900m": 900, "1.3b": 1300}.items()
        ),
    )
}
"""The bundles that come with the program, by their names."""


def all_bundles() -> Mapping[str, Bundle]:
    """Every bundle by its name: those of the program, then the user's own.

    Raises:
        UserError: the user's config.toml cannot be read, or describes a bundle wrongly.
    """
    from engine.catalog.user_bundles import user_bundles

    return {**BUNDLES, **user_bundles()}


def find_bundle(name: str) -> Bundle:
    """Return the bundle of this name, or raise a UserError that lists them."""
    if name in BUNDLES:
        return BUNDLES[name]
    bundles = all_bundles()
    if name not in bundles:
        raise UserError(f"bundle: {name!r} is unknown; there are {', '.join(bundles)}")
    return bundles[name]


def known_bundle(name: str) -> Bundle | None:
    """The bundle of this name; None where there is none."""
    try:
        return find_bundle(name)
    except UserError:
        return None


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
