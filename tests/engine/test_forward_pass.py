"""Sentences around z, several targets, languages: against the generator called by hand."""

import pytest
import torch
from torch import Tensor

from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.search import optimize
from engine.steps.step import Step
from tests.engine.test_objective import decoder_cross_entropy
from tests.engine.toy import toy_spec

STORY = ("Tom had a red ball.", "I like cheese.", "What is your name?")


def embedded(bundle: LoadedBundle, *sentences: str) -> Tensor:
    """(1, S, D)"""
    return bundle.encode(sentences).unsqueeze(0)


def first_row(bundle: LoadedBundle, **fields: object) -> Step:
    return next(optimize(toy_spec(**fields), bundle))


def by_hand(bundle: LoadedBundle, sentences: Tensor) -> Tensor:
    """Prediction after the last of some sentences (1, S, D). # (D,)"""
    with torch.no_grad():
        prediction: Tensor = bundle.generator(sentences)[0, -1]
    return prediction


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_z_stands_between_the_sentences_before_it_and_its_context(bundle: LoadedBundle) -> None:
    before, context = ("Tom had a red ball.",), ("I like cheese.", "What is your name?")
    row = first_row(bundle, before=before, context=context)
    sentences = torch.cat(
        [embedded(bundle, *before), torch.from_numpy(row.z)[None, None], embedded(bundle, *context)], dim=1
    )
    expected = by_hand(bundle, sentences)
    torch.testing.assert_close(torch.from_numpy(row.prediction), expected, rtol=1e-4, atol=1e-5)
    without = first_row(bundle)
    assert not torch.allclose(torch.from_numpy(without.prediction), expected, rtol=1e-2)


def test_with_teacher_forcing_each_sentence_follows_the_true_ones(bundle: LoadedBundle) -> None:
    row = first_row(bundle, target=STORY[0], continuation=STORY[1:], steps=1, decode_every=1)
    text = torch.from_numpy(row.z)[None, None]
    losses = []
    for count, sentence in enumerate(STORY):
        true = [text] if not count else [text, embedded(bundle, *STORY[:count])]
        prediction = by_hand(bundle, torch.cat(true, dim=1))
        losses.append(decoder_cross_entropy(bundle, prediction.double().numpy(), sentence))
    assert [sentence.ce for sentence in row.sentences] == pytest.approx(losses, rel=1e-4)
    assert row.loss == pytest.approx(mean(losses), rel=1e-4)
    assert row.decoded_prediction == " ".join(sentence.text for sentence in row.sentences)


def test_running_free_each_sentence_follows_the_predicted_ones(bundle: LoadedBundle) -> None:
    row = first_row(bundle, target=STORY[0], continuation=STORY[1:], forcing="free", decode_every=1)
    text = torch.from_numpy(row.z)[None, None]
    losses = []
    for sentence in STORY:
        prediction = by_hand(bundle, text)
        losses.append(decoder_cross_entropy(bundle, prediction.double().numpy(), sentence))
        text = torch.cat([text, prediction[None, None]], dim=1)
    assert [sentence.ce for sentence in row.sentences] == pytest.approx(losses, rel=1e-4)
    assert row.loss == pytest.approx(mean(losses), rel=1e-4)


@pytest.mark.parametrize("forcing", ["teacher", "free"])
def test_the_gradient_goes_through_all_sentences(double_bundle: LoadedBundle, forcing: str) -> None:
    """Central differences of the loss; running free, the gradient goes through the fed-back predictions."""
    spec = toy_spec(target=STORY[0], continuation=STORY[1:], forcing=forcing, context=("I like cheese.",))
    optimization = Optimization([spec], double_bundle)
    z = torch.from_numpy(optimization.raw_initial_z).double().requires_grad_()
    (gradient,) = torch.autograd.grad(optimization.evaluate(z).loss.sum(), z)
    width = 1e-5
    for place in range(0, z.shape[1], 7):
        shift = torch.zeros_like(z)
        shift[0, place] = width
        with torch.no_grad():
            difference = optimization.evaluate(z + shift).loss - optimization.evaluate(z - shift).loss
        assert gradient[0, place].item() == pytest.approx(difference.item() / (2 * width), rel=1e-3, abs=1e-7)


def test_a_run_of_several_sentences_is_in_a_batch_what_it_is_alone(bundle: LoadedBundle) -> None:
    specs = [
        toy_spec(target=STORY[0], continuation=STORY[1:], decode_every=1),
        toy_spec(decode_every=1),
        toy_spec(before=("I like cheese.",), context=STORY[:2], target=STORY[2], decode_every=1),
        toy_spec(target=STORY[2], continuation=STORY[:1], forcing="free", decode_every=1),
    ]
    together = Optimization(specs, bundle).advance()
    for row, spec in zip(together, specs, strict=True):
        alone = next(optimize(spec, bundle))
        assert row.loss == pytest.approx(alone.loss, rel=1e-4)
        assert row.grad_norm == pytest.approx(alone.grad_norm, rel=1e-3)
        assert row.similarity == pytest.approx(alone.similarity, rel=1e-4)
        assert row.decoded_prediction == alone.decoded_prediction
        assert len(row.token_losses or ()) == len(alone.token_losses or ())
        assert [each.ce for each in row.sentences] == pytest.approx(
            [each.ce for each in alone.sentences], rel=1e-4
        )


def test_all_sentences_have_to_match(bundle: LoadedBundle) -> None:
    said = first_row(bundle, target=STORY[0], continuation=STORY[1:2], max_decoded_tokens=4)
    first, second = (sentence.text for sentence in said.sentences)
    assert said.match is False
    # The targets are what is said; the second follows the true first, which has changed: it may say else.
    again = first_row(bundle, target=first, continuation=(STORY[1],), max_decoded_tokens=4)
    assert [sentence.match for sentence in again.sentences] == [True, second == STORY[1]]
    assert again.match is (second == STORY[1])


def test_a_language_that_the_tokenizer_does_not_have_is_refused(bundle: LoadedBundle) -> None:
    for field in ("source_lang", "target_lang"):
        with pytest.raises(
            UserError, match=r"^language: 'deu_Latn': the tokenizer of bundle toy does not"
        ) as error:
            Optimization([toy_spec(**{field: "deu_Latn"})], bundle)
        assert "\n" not in str(error.value)


def test_a_sentence_that_is_too_long_is_named(bundle: LoadedBundle) -> None:
    long = "Tom had a red ball and he wanted to play with the ball in the garden. " * 6
    for field in ("before", "context"):
        with pytest.raises(UserError, match=rf"^{field}: \d+ tokens; bundle toy takes at most 62"):
            Optimization([toy_spec(**{field: (long,)})], bundle)
    with pytest.raises(UserError, match=r"^target: \d+ tokens"):
        Optimization([toy_spec(continuation=(long,))], bundle)
