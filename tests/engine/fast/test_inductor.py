"""Compiled passes: the same numbers, compiled once for a shape, and only where they are differentiated.

The backend is one that needs no compiler: what it is given is what the real one compiles.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from engine.errors import UserError
from engine.fast import inductor
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.search import optimize
from engine.steps.step import Step
from tests.engine.toy import toy_bundle, toy_spec

SHORT = "I like cheese."
LONG = "Once upon a time, there was a little girl named Lily."


@pytest.fixture(autouse=True)
def _nothing_is_compiled_yet() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of operations of what was compiled."""
    found: list[int] = []
    whole: Any = torch._dynamo.lookup_backend("aot_eager")

    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        found.append(len(graph.graph.nodes))
        compiled: Callable[..., Any] = whole(graph, inputs)
        return compiled

    monkeypatch.setattr(inductor, "BACKEND", backend)
    return found


@pytest.fixture
def plain() -> LoadedBundle:
    return toy_bundle()


@pytest.fixture
def compiled(plain: LoadedBundle, compilations: list[int]) -> LoadedBundle:
    return replace(plain, is_compiled=True)


def rows(bundle: LoadedBundle, **fields: object) -> list[Step]:
    return list(optimize(toy_spec(target=SHORT, **fields), bundle))


def test_a_compiled_run_has_the_rows_of_a_plain_one(compiled: LoadedBundle, plain: LoadedBundle) -> None:
    pairs = list(zip(rows(compiled, steps=5), rows(plain, steps=5), strict=True))
    assert len(pairs) == 6
    for ours, theirs in pairs:
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert ours.similarity == pytest.approx(theirs.similarity, abs=1e-5)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-4)
    assert pairs[-1][0].decoded_prediction == pairs[-1][1].decoded_prediction


def test_runs_of_several_sentences_and_lengths_do_too(compiled: LoadedBundle, plain: LoadedBundle) -> None:
    specs = [toy_spec(target=SHORT, context=[LONG]), toy_spec(target=LONG, context=[SHORT])]
    ours, theirs = (Optimization(specs, bundle).advance(decodes=False) for bundle in (compiled, plain))
    assert [row.loss for row in ours] == pytest.approx([row.loss for row in theirs], rel=1e-5)
    assert [row.grad_norm for row in ours] == pytest.approx([row.grad_norm for row in theirs], rel=1e-4)


def test_each_shape_is_compiled_once_and_as_a_whole(compiled: LoadedBundle, compilations: list[int]) -> None:
    rows(compiled, decode_every=1)  # whose texts are all of other lengths, and are only read
    generator_and_decoder = 2
    assert len(compilations) == generator_and_decoder
    assert min(compilations) > 10
    rows(compiled, lr=0.5)
    assert len(compilations) == generator_and_decoder
    list(optimize(toy_spec(target=LONG), compiled))
    assert len(compilations) == generator_and_decoder + 1


def test_nothing_is_compiled_unless_it_is_asked_for(plain: LoadedBundle, compilations: list[int]) -> None:
    rows(plain)
    assert compilations == []


@pytest.mark.usefixtures("compilations")
def test_compiled_and_plain_passes_read_the_same_folded_weights() -> None:
    plain = toy_bundle(seed=11)  # no other test's: its weights are known by their values
    compiled = replace(plain, is_compiled=True)
    for bundle in (plain, compiled):
        rows(bundle, steps=1)
    decoder: Any = plain.decoder.decoder
    attentions = [layer.encoder_decoder_attn for layer in decoder.layers]
    folded = torch.cat([each.output_proj.weight.data @ each.v_proj.weight.data for each in attentions])
    tensors = [each for each in gc.get_objects() if type(each) is Tensor]
    alike = [each for each in tensors if (each.shape, each.dtype) == (folded.shape, folded.dtype)]
    places = {each.data_ptr() for each in alike if torch.allclose(each, folded, atol=1e-6)}
    assert len(places - {folded.data_ptr()}) == 1


def test_what_is_made_of_a_decoder_does_not_keep_it() -> None:
    bundle = toy_bundle()
    rows(bundle, steps=1)
    decoder = weakref.ref(bundle.decoder)
    del bundle
    gc.collect()
    assert decoder() is None


def test_what_cannot_be_compiled_is_one_line(plain: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        raise RuntimeError("g++ has crashed\nin many lines")

    monkeypatch.setattr(inductor, "BACKEND", backend)
    with pytest.raises(UserError) as raised:
        rows(replace(plain, is_compiled=True))
    message = str(raised.value)
    assert message.startswith("compile: ")
    assert "g++ has crashed" in message
    assert message.endswith("run without --compile")
    assert "\n" not in message
