"""The shipped weights, through fairseq2's and sonar's own calls."""

import pytest
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.models import load_model
from safetensors import safe_open
from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline, TextToEmbeddingModelPipeline
from sonar.models.sonar_text import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel

from engine.mini import GENERATOR_FOLDER, WEIGHTS
from engine.mini.architecture import MINI
from engine.models.generator import SonarLLM

SENTENCES = [
    "I like cheese.",
    "Once upon a time, there was a little girl named Lily.",
    "It is raining today.",
    "Tom's dog doesn't like the cold water.",
    "We hold these truths to be self-evident.",
    '"Where are you going?" asked the old man.',
    "She opened the small wooden box and found a golden key inside.",
    "My grandmother bakes bread every Sunday morning.",
    "The train to London leaves at 7:30.",
    "Nobody knew why the lighthouse had gone dark.",
]


@pytest.fixture(scope="module")
def embeddings() -> torch.Tensor:
    pipeline = TextToEmbeddingModelPipeline(encoder="sonar_mini_encoder", tokenizer="sonar_mini_encoder")
    return pipeline.predict(SENTENCES, source_lang="eng_Latn")


def test_sentences_come_back_through_the_pipelines(embeddings: torch.Tensor) -> None:
    pipeline = EmbeddingToTextModelPipeline(decoder="sonar_mini_decoder", tokenizer="sonar_mini_decoder")
    assert pipeline.predict(embeddings, target_lang="eng_Latn") == SENTENCES


def test_embeddings_are_as_long_as_sonars(embeddings: torch.Tensor) -> None:
    assert embeddings.shape == (len(SENTENCES), 384)
    assert embeddings.norm(dim=-1).mean().item() == pytest.approx(0.207, rel=0.1)


def test_cards_load_sonars_own_classes_in_float32() -> None:
    for name, kind, layers in (
        ("sonar_mini_encoder", SonarTextTransformerEncoderModel, MINI.encoder_layers),
        ("sonar_mini_decoder", ConditionalTransformerDecoderModel, MINI.decoder_layers),
    ):
        model = load_model(name)
        assert isinstance(model, kind)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        numbers = {name.split("layers.")[1].split(".")[0] for name in model.state_dict() if "layers." in name}
        assert len(numbers) == layers


def test_tokenizer_has_nllbs_control_symbols() -> None:
    tokenizer = load_tokenizer("sonar_mini_encoder")
    information = tokenizer.vocab_info
    assert (information.pad_idx, information.unk_idx, information.bos_idx, information.eos_idx) == (
        0,
        1,
        2,
        3,
    )
    assert information.size == MINI.vocabulary == 6000
    source = tokenizer.create_encoder(lang="eng_Latn", mode="source")("I like cheese.")
    target = tokenizer.create_encoder(lang="eng_Latn", mode="target")("I like cheese.")
    assert [source[0].item(), source[-1].item()] == [MINI.language_id, 3]
    assert [*target[:2].tolist(), target[-1].item()] == [3, MINI.language_id, 3]
    assert target[2:].tolist() == source[1:].tolist()


def test_next_sentence_is_predicted_in_the_embeddings_space(embeddings: torch.Tensor) -> None:
    generator = SonarLLM.from_directory(WEIGHTS / GENERATOR_FOLDER)
    with torch.inference_mode():
        predictions = generator(embeddings[:, None])[:, 0]
    assert predictions.shape == embeddings.shape
    decoder = EmbeddingToTextModelPipeline(decoder="sonar_mini_decoder", tokenizer="sonar_mini_decoder")
    texts = decoder.predict(predictions, target_lang="eng_Latn")
    assert len(set(texts)) > len(texts) / 2, "the next sentence hardly depends on the first"
    assert all(2 <= len(text.split()) <= 30 for text in texts), texts


def test_files_are_small_safetensors() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 60e6
    assert {path.relative_to(WEIGHTS).as_posix() for path in files} == {
        "encoder.safetensors",
        "decoder.safetensors",
        "tokenizer.model",
        "generator/config.json",
        "generator/model.safetensors",
        "prior.safetensors",
    }
    for path in files:
        assert path.stat().st_size < 2**24
        if path.suffix == ".safetensors" and path.name != "prior.safetensors":
            with safe_open(path, framework="pt") as weights:
                assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
