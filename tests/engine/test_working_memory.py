"""What runs are thought to take of a card's memory, beside what they do take.

There is no card here. What is kept is counted on the CPU, where it is the same once the kernels' places
are taken by torch's formulas; the numbers of a card were measured on an H200.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.decoding import texts
from engine.decoding.graphs import GraphDecoder
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.fast import attention, cross_entropy, residual
from engine.fast.padded import padded_rows
from engine.models.loaded import LoadedBundle
from engine.models.sizes import Sizes, Stack
from engine.optimizer import Optimization
from engine.spec import RunSpec
from engine.steps import own_text
from engine.work import room
from engine.work.room import Room
from engine.working_memory import (
    LIBRARIES,
    Asked,
    decoding_bytes,
    kept_for_the_way_back,
    keys_and_values_bytes,
    step_bytes,
    working_bytes,
)
from tests.engine.toy import toy_spec

MIB = 2**20

REAL = Sizes((), decoder=Stack(24, 1024, 8192), generator=Stack(17, 1536, 6144), vocabulary=256_206)
"""SONAR with SONAR-LLM 900M."""

SHORT = Asked(sentences=1, tokens=15, places=1, beam=5, decoded_tokens=45, decode_every=10)
"""A target of which 17 tokens are predicted."""

TARGETS = ("I like cheese.", "Tom had a red ball.", "What is your name?")


def sizes_of(bundle: LoadedBundle) -> Sizes:
    return Sizes.of({"decoder": bundle.decoder, "generator": bundle.generator})


@pytest.mark.parametrize(("dtype", "mib"), [(torch.bfloat16, 36.07), (torch.float32, 55.58)])
def test_a_step_takes_what_it_took_on_a_card(dtype: torch.dtype, mib: float) -> None:
    """The 128 runs of 17 tokens that were measured took so much each."""
    assert step_bytes(REAL, dtype, SHORT, 128) == pytest.approx(128 * mib * MIB, rel=0.02)


def test_what_is_kept_for_the_way_back_is_counted(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card's kernels keep it, which on the CPU torch's formulas stand in for."""

    def add_and_norm(
        hidden: Tensor, added: Tensor | None, context: Tensor | None, norm: residual.Norm
    ) -> tuple[Tensor, Tensor, Tensor]:
        total, normed = residual.by_torch(hidden, added, context, norm)
        return total.clone(), normed, torch.zeros(2)

    def never(*_: object) -> Tensor:
        raise AssertionError("there is no way back")

    attend = attention.Kernels(attention.by_torch, never, lambda joint, heads: True)
    monkeypatch.setattr(attention, "kernels_on", lambda device: attend)
    monkeypatch.setattr(residual, "kernels_on", lambda device: residual.Kernels(add_and_norm, never, never))

    def counted(targets: Sequence[str]) -> int:
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        optimization = Optimization([toy_spec(target=target) for target in targets], bundle)
        z = torch.randn(len(targets), bundle.dim, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            evaluation = optimization.evaluate(z)
        assert evaluation.loss.requires_grad
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    most = max(bundle.tokens_of_target(target, None) for target in TARGETS)
    asked = Asked.of(toy_spec(), most)
    expected = kept_for_the_way_back(sizes_of(bundle), torch.float32, asked, len(TARGETS))
    # The same again, so that the weights that are kept as well are left out.
    assert expected == pytest.approx(counted(TARGETS * 2) - counted(TARGETS), rel=0.05)


@pytest.mark.parametrize(("runs", "every"), [(1, 10), (1, 1), (3, 1), (7, 5)])
def test_the_keys_and_values_that_are_kept_are_counted(
    runs: int, every: int, bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the batches of a card, of fixed shapes."""
    specs = [toy_spec(target=TARGETS[0], beam=3, decode_every=every, max_decoded_tokens=30)] * runs
    optimization = Optimization(specs, bundle)
    batches = GraphDecoder(IncrementalDecoder(bundle.decoder), None)

    def decode(bundle: LoadedBundle, z: Tensor, *, together: int, **how: object) -> list[str]:
        count = min(together, texts.texts_at_once(3, bundle.decoder_tokenizer.vocab_info.size))
        rows = Rows(torch.tensor([[3, 4]] * count), torch.tensor([2 + 30] * count))
        batches(torch.zeros(count, bundle.dim), rows, Symbols(3, 0), beam=3, least=count)
        return ["text"] * len(z)

    monkeypatch.setattr(own_text, "decode", decode)
    optimization.advance(decodes=True)
    asked = Asked.of(specs[0], bundle.tokens_of_target(TARGETS[0], None))
    expected = keys_and_values_bytes(sizes_of(bundle), torch.float32, asked, runs)
    assert batches.nbytes == expected > 0


def test_reading_texts_again_takes_no_more_than_some_logits_at_a_time(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs there are; the losses are the same."""
    targets = bundle.targets(TARGETS)
    embeddings = torch.randn(len(TARGETS), bundle.dim, generator=torch.Generator().manual_seed(0))
    expected = bundle.token_losses(embeddings, targets)
    vocabulary = bundle.decoder_tokenizer.vocab_info.size
    products = []
    product = cross_entropy._product

    def noted(hidden: Tensor, weight: Tensor) -> Tensor:
        products.append(len(hidden))
        return product(hidden, weight)

    monkeypatch.setattr(cross_entropy, "_product", noted)
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_ONCE", 10 * padded_rows(vocabulary))
    assert torch.allclose(bundle.token_losses(embeddings, targets), expected, rtol=1e-5)
    assert max(products) == 10
    assert sum(products) == int(targets.mask.sum())
    bundle.token_losses(embeddings.requires_grad_(), targets)
    assert products[-1] == sum(products[:-1]), "what is differentiated is one product"


# The room of a card


def room_for(bundle: LoadedBundle, specs: Sequence[RunSpec], free: float) -> int:
    return Room.now(bundle, free=lambda device: int(free)).runs(specs, most=128)


def test_as_many_runs_are_stepped_together_as_the_card_has_room_for(bundle: LoadedBundle) -> None:
    spec = toy_spec(decode_every=2, max_decoded_tokens=None)
    asked = Asked.of(spec, bundle.tokens_of_target(spec.target, None))

    def taken(runs: int) -> int:
        return LIBRARIES + working_bytes(sizes_of(bundle), torch.float32, asked, runs)

    for runs in (1, 8, 31, 127):
        assert room_for(bundle, [spec], taken(runs)) == runs
        assert room_for(bundle, [spec], taken(runs + 1) - 1) == runs
    assert room_for(bundle, [spec], 0) == 1, "one run is tried in any case"
    assert room_for(bundle, [spec], 1e15) == 128
    longer = toy_spec(decode_every=2, target=" ".join(TARGETS * 2))
    assert room_for(bundle, [spec, longer], taken(31)) < 31


def test_what_is_kept_for_decoding_makes_room(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go of, or used again, when runs are stepped in another company."""
    before = room_for(bundle, [toy_spec()], 2 * LIBRARIES)
    monkeypatch.setattr(room, "kept_bytes", lambda bundle: LIBRARIES)
    assert room_for(bundle, [toy_spec()], LIBRARIES) == before


def test_decoding_many_texts_leaves_less_room_for_runs() -> None:
    """At every tenth step four texts of one run are decoded at a time, at every step many."""
    often = replace(SHORT, decode_every=1)
    assert decoding_bytes(REAL, torch.bfloat16, often, 1) > 4 * decoding_bytes(REAL, torch.bfloat16, SHORT, 1)
    assert decoding_bytes(REAL, torch.bfloat16, SHORT, 128) == decoding_bytes(REAL, torch.bfloat16, SHORT, 64)
