"""What loaded models remember, and that they can be let go of."""

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from engine.models.loaded import LoadedBundle
from tests.engine.toy import toy_bundle


def test_a_text_is_embedded_once_and_nobody_can_change_what_is_remembered() -> None:
    bundle, asked = toy_bundle(), []
    pipeline = bundle._text_to_embedding

    class Counting:
        def predict(self, texts: Sequence[str], *, source_lang: str) -> Tensor:
            asked.append((*texts, source_lang))
            return pipeline.predict(texts, source_lang=source_lang)

    vars(bundle)["_text_to_embedding"] = Counting()
    first = bundle.encode(["I like cheese.", "Tom had a red ball.", "I like cheese."])
    kept = first.clone()
    first.zero_()
    again = bundle.encode(["Tom had a red ball.", "I like cheese."])
    assert asked == [("I like cheese.", "eng_Latn"), ("Tom had a red ball.", "eng_Latn")]
    assert torch.equal(kept[0], kept[2])
    assert torch.equal(again, kept[1:])


def test_a_bundle_that_nobody_holds_is_gone_at_once() -> None:
    """Its memory is what the next models may need."""
    bundle = toy_bundle()
    bundle.encode(["I like cheese."])
    gone = weakref.ref(bundle)
    gc.disable()
    try:
        del bundle
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "texts",
    [("A cat.", "Tom had a red ball.", "", "I like cheese."), ("A cat.",) * 4],
    ids=["padded", "alike"],
)
def test_repeated_targets_are_those_of_the_repeated_texts(
    bundle: LoadedBundle, texts: tuple[str, ...]
) -> None:
    """Two groups of two, three times each."""
    repeated = bundle.targets(texts).repeated(3, group=2)
    expected = bundle.targets([*texts[:2] * 3, *texts[2:] * 3])
    assert repeated.lengths == expected.lengths
    for name in ("fed", "expected", "mask"):
        assert getattr(repeated, name).equal(getattr(expected, name)), name
    torch.testing.assert_close(repeated.beginning, expected.beginning)
    if expected.real is None:
        assert repeated.real is None
    else:
        assert repeated.real is not None
        assert repeated.real.tolist() == expected.mask.flatten().nonzero().squeeze(-1).tolist()
