"""The published experiment on the embedded models, as a notebook runs it."""

import pytest
import torch
from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline, TextToEmbeddingModelPipeline

from engine import LoadedBundle, RunSpec, Step, load_bundle, optimize
from engine.decoding import decode
from engine.models import loading

LILY = "Once upon a time, there was a little girl named Lily."
SENTENCES = ["I like cheese.", LILY, "Tom had a red ball.", "The dog is happy."]


@pytest.fixture(scope="module")
def mini() -> LoadedBundle:
    return load_bundle("mini", device="cpu")


@pytest.fixture(scope="module")
def loading_lines() -> list[str]:
    """What was said while `coarse` was loaded."""
    return []


@pytest.fixture(scope="module")
def coarse(loading_lines: list[str]) -> LoadedBundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_loaded", {})  # other tests may have loaded it in this process
        return load_bundle("mini", device="cpu", dtype="bfloat16", progress=loading_lines.append)


@pytest.fixture(scope="module")
def cross_entropy_run(mini: LoadedBundle) -> list[Step]:
    return list(optimize(RunSpec(), mini))


def test_decoder_cross_entropy_makes_the_models_say_the_sentence(cross_entropy_run: list[Step]) -> None:
    first, last = cross_entropy_run[0], cross_entropy_run[-1]
    assert [row.step for row in cross_entropy_run] == list(range(101))
    assert first.match is False
    assert last.decoded_prediction == LILY
    assert last.match is True
    assert last.loss < first.loss / 5
    assert all(row.z_norm == pytest.approx(first.z_norm, rel=1e-5) for row in cross_entropy_run)


def test_bfloat16_says_the_sentence_too_and_its_losses_follow(
    mini: LoadedBundle, coarse: LoadedBundle
) -> None:
    """Within 15% in every row, and 5% in the mean: of losses that fall by a factor of ten."""
    spec = RunSpec(steps=40, decode_every=40)
    exact = list(optimize(spec, mini))
    rows = list(optimize(spec.model_copy(update={"dtype": "bfloat16"}), coarse))
    ratios = torch.tensor([row.loss / other.loss for row, other in zip(rows, exact, strict=True)])
    assert exact[0].loss > 10 * exact[-1].loss
    assert ratios.log().abs().max() < 0.15
    assert ratios.log().abs().mean() < 0.05
    assert [row.match for row in (rows[0], rows[-1])] == [False, True]
    assert [row.match for row in (exact[0], exact[-1])] == [False, True]
    assert {rows[-1].z.dtype.name, rows[-1].prediction.dtype.name} == {"float32"}


def test_cosine_loss_ends_more_similar_and_without_the_sentence(
    mini: LoadedBundle, cross_entropy_run: list[Step]
) -> None:
    last = list(optimize(RunSpec(weights={"cosine": 1.0}, decode_every=100), mini))[-1]
    assert last.similarity > cross_entropy_run[-1].similarity
    assert last.match is False


def test_texts_and_embeddings_are_those_of_sonars_pipelines(mini: LoadedBundle) -> None:
    """The pipelines load the same cards by themselves."""
    to_embedding = TextToEmbeddingModelPipeline("sonar_mini_encoder", "sonar_mini_encoder")
    to_text = EmbeddingToTextModelPipeline("sonar_mini_decoder", "sonar_mini_decoder")
    embeddings = mini.encode(SENTENCES)
    expected = to_embedding.predict(SENTENCES, source_lang="eng_Latn")
    torch.testing.assert_close(embeddings, expected.clone(), rtol=1e-4, atol=1e-6)
    shifted = torch.cat([embeddings, embeddings.roll(1, dims=0) * 0.5 + embeddings * 0.5])
    for beam in (1, 5):
        texts = to_text.predict(shifted, target_lang="eng_Latn", beam_size=beam, max_gen_len=(0, 41))
        assert decode(mini, shifted, beam=beam, max_tokens=40) == texts


def test_a_bundle_is_loaded_once(mini: LoadedBundle) -> None:
    lines: list[str] = []
    assert load_bundle("mini", device="cpu", progress=lines.append) is mini
    assert not lines


def test_loading_reports_its_progress_and_names_the_weights(
    mini: LoadedBundle, coarse: LoadedBundle, loading_lines: list[str]
) -> None:
    for part in ("tokenizer", "encoder", "decoder", "generator"):
        assert f"loading {part}" in loading_lines
    assert not any("kernels" in line for line in loading_lines)  # those are for cards
    assert coarse is not mini
    assert coarse.digest == mini.digest
    assert len(mini.digest) == 64
    for model in (coarse.encoder, coarse.decoder, coarse.generator):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_everything_is_frozen_and_nothing_ever_has_a_gradient(
    mini: LoadedBundle, cross_entropy_run: list[Step]
) -> None:
    assert cross_entropy_run
    for model in (mini.encoder, mini.decoder, mini.generator):
        assert not model.training
        for parameter in model.parameters():
            assert not parameter.requires_grad
            assert parameter.grad is None


def test_embeddings_are_about_as_long_as_sonars(mini: LoadedBundle) -> None:
    assert mini.embedding_norm == pytest.approx(0.207, rel=0.25)
