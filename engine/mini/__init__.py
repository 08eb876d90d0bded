"""The embedded bundle: a SONAR encoder and decoder and a SONAR-LLM at toy size, and how they were trained."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"

ENCODER_FILE = "encoder.safetensors"
DECODER_FILE = "decoder.safetensors"
TOKENIZER_FILE = "tokenizer.model"
GENERATOR_FOLDER = "generator"
PRIOR_FILE = "prior.safetensors"

LANGUAGE = "eng_Latn"
