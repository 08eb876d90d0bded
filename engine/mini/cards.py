"""fairseq2 asset cards of the mini encoder and decoder: they load by name, as SONAR's do."""

from fairseq2.composition.assets import register_in_memory_assets
from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer
from sonar.models.sonar_text import (
    SONAR_TEXT_DECODER_FAMILY,
    SONAR_TEXT_ENCODER_FAMILY,
    SonarTextDecoderConfig,
    SonarTextEncoderConfig,
)

from engine.mini import DECODER_FILE, ENCODER_FILE, LANGUAGE, TOKENIZER_FILE, WEIGHTS
from engine.mini.architecture import decoder_config, encoder_config

ENCODER_CARD = "sonar_mini_encoder"
DECODER_CARD = "sonar_mini_decoder"
ARCHITECTURE = "mini"


def setup_fairseq2_extension(container: DependencyContainer) -> None:
    """Add the cards and their architecture. fairseq2 calls this through its entry-point group."""
    ConfigRegistrar(container, SonarTextEncoderConfig)(ARCHITECTURE)(encoder_config)
    ConfigRegistrar(container, SonarTextDecoderConfig)(ARCHITECTURE)(decoder_config)
    register_in_memory_assets(
        container,
        "sonar_explore",
        [
            _card(ENCODER_CARD, SONAR_TEXT_ENCODER_FAMILY, ENCODER_FILE),
            _card(DECODER_CARD, SONAR_TEXT_DECODER_FAMILY, DECODER_FILE),
        ],
    )


def _card(name: str, family: str, weights_file: str) -> dict[str, object]:
    return {
        "name": name,
        "model_family": family,
        "model_arch": ARCHITECTURE,
        "checkpoint": str(WEIGHTS / weights_file),
        "tokenizer": str(WEIGHTS / TOKENIZER_FILE),
        "tokenizer_family": "nllb",
        "tokenizer_config": {"_set_": {"default_lang": LANGUAGE, "langs": [LANGUAGE]}},
    }
