"""What decoding does on a card: by the kernels, interpreted, and by what they are checked with.

Attention is held against float64 written out here, the search against fairseq2's.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.decoding import (
    attention,
    attention_kernels,
    beam_search,
    beam_search_kernels,
    descent,
    descent_kernels,
)
from engine.decoding.attention import UNSEEN, Kernels, by_torch, mask_of
from engine.decoding.beam_search import BeamSearch
from engine.decoding.cache import Cache
from engine.fast.compiled import compiled
from tests.engine.fast.compiling import machine_code
from tests.engine.fast.interpreted import interpreted
from tests.engine.test_search import fairseq2s, languages

CPU = torch.device("cpu")

SIZES = {
    "beginning": (3, 1, 5, 2, 16, 8, 0),
    "prompt": (2, 1, 5, 2, 64, 16, 1),
    "greedy": (2, 1, 1, 3, 64, 16, 9),
    "beam": (2, 5, 5, 2, 64, 48, 33),
    "wide beam, long": (1, 10, 10, 1, 32, 80, 79),
    "whole blocks": (1, 2, 2, 1, 64, 65, 64),
}
"""R, H, B, A, E, L and the position"""

PRECISIONS = {"float32": (torch.float32, 2e-6), "bfloat16": (torch.bfloat16, 8e-3)}
"""And what they may be off by: the interpreter does not round bfloat16 to the nearest."""


def one_position(size: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Joint projection, keys and values, slots, and the position: with ancestors of all sorts."""
    rows, hypotheses, beam, heads, head_dim, positions, now = SIZES[size]
    random = torch.Generator().manual_seed(now)
    joint = torch.randn(rows, hypotheses, 3 * heads * head_dim, generator=random).to(dtype)
    kept = torch.randn(2, rows, heads, positions, beam, head_dim, generator=random).to(dtype)
    slots = torch.randint(beam, (rows, beam, positions), generator=random)
    slots[:, :, now] = torch.arange(beam)
    slots[:, :, now + 1 :] = UNSEEN
    return joint, kept, slots, torch.tensor([now])


def expected(joint: Tensor, kept: Tensor, slots: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """What is attended, (R, H, D) in float64, and what is kept then: one hypothesis and head at a time."""
    now, kept = int(position), kept.clone()
    rows, hypotheses, _ = joint.shape
    query, key, value = joint.view(rows, hypotheses, 3, kept.shape[2], -1).unbind(2)  # (R, H, A, E)
    attended = torch.zeros(query.shape, dtype=torch.float64)
    for row in range(rows):
        for hypothesis in range(hypotheses):
            kept[0, row, :, now, hypothesis], kept[1, row, :, now, hypothesis] = (
                each[row, hypothesis] for each in (key, value)
            )
        for hypothesis in range(hypotheses):
            places = torch.arange(now + 1)
            keys, values = kept[:, row, :, places, slots[row, hypothesis, places]].double()  # (A, X, E)
            for head, of_head in enumerate(query[row, hypothesis].double()):
                shares = (keys[head] @ of_head / len(of_head) ** 0.5).softmax(dim=0)
                attended[row, hypothesis, head] = shares @ values[head]
    return attended.flatten(2), kept


def assert_right(
    found: Tensor, found_kept: Tensor, inputs: tuple[Tensor, Tensor, Tensor, Tensor], tolerance: float
) -> None:
    right, right_kept = expected(*inputs)
    assert found.dtype == inputs[0].dtype
    assert (found.double() - right).abs().max().item() <= tolerance * right.abs().max().item()
    assert torch.equal(found_kept, right_kept)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_known", [False, True])
def test_masked_attention_sees_what_the_ancestors_kept(size: str, is_known: bool) -> None:
    joint, kept, slots, position = one_position(size, torch.float32)
    extent = int(position) + 1 if is_known else None
    mask = mask_of(slots, hypotheses=joint.shape[1], extent=extent, dtype=torch.float32)
    assert (mask is None) == (is_known and slots.shape[1] == 1)
    found_kept = kept.clone()
    found = by_torch(joint, found_kept, position, mask, extent=extent)
    assert_right(found, found_kept, (joint, kept, slots, position), 2e-6)


def test_kernels(tmp_path: Path) -> None:
    attentions = {
        f"attention {size} {precision}": one_position(size, dtype)
        for size in SIZES
        for precision, (dtype, _) in PRECISIONS.items()
    }
    tables = {beam: languages(beam)[:1] for beam in (1, 2)}
    searches = {f"search {beam}": (tables[beam], beam) for beam in tables}
    found: dict[str, Any] = interpreted("interpreted_decoding", {**attentions, **searches}, tmp_path)
    for name, inputs in attentions.items():
        assert_right(found[name][0], found[name][1], inputs, PRECISIONS[name.split()[-1]][1])
    for beam, some in tables.items():
        assert found[f"search {beam}"] == [fairseq2s(table, beam) for table in some]


def test_kernels_compile_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    numbers = dict.fromkeys(
        ("width", "segments", "pad", "end", "positions", "size_of_keys", "written_stride"), "i32"
    )
    of_state = {
        **dict.fromkeys(("slots", "table", "written", "position", "last", "parents", "fed"), "*i64"),
        **dict.fromkeys(("tokens", "texts", "ends", "finished"), "*i64"),
        **dict.fromkeys(("scores", "best", "of_tokens", "of_end"), "*fp32"),
        **dict.fromkeys(("choosable", "highest", "sums"), "*fp32"),
        **dict.fromkeys(("is_done", "is_broken"), "*i1"),
        "likeliest": "*i32",
    }
    of_models = dict.fromkeys(("joint", "kept", "attended", "logits"), "*bf16")
    beam = {"hypotheses": 5, "beam": 5, "count": 10, "chosen_size": 16}
    for kernel, constants in (
        (attention_kernels.attend_to_past, {"heads": 16, "head_dim": 64, "block": 32, **beam}),
        (descent_kernels.descend_row, {"slots": 8, "places": 64, **beam}),
        (beam_search_kernels.segments_of, {"together": 16, "size": 256}),
        (beam_search_kernels.best_tokens, {"segments_size": 1024, "size": 256, **beam}),
        (beam_search_kernels.go_on, {"candidates_size": 64, "text_size": 64, **beam}),
    ):
        own = {name: number for name, number in constants.items() if name in kernel.arg_names}
        assert machine_code(kernel, of_models | of_state | numbers, own)


@pytest.mark.parametrize(
    ("head_dim", "dtype", "is_taken"),
    [
        (64, torch.float32, True),
        (128, torch.bfloat16, True),
        (256, torch.bfloat16, False),
        (48, torch.bfloat16, False),
        (64, torch.float64, False),
    ],
)
def test_what_the_kernels_take(head_dim: int, dtype: torch.dtype, is_taken: bool) -> None:
    assert attention_kernels.are_for(torch.empty(2, 1, 1, 1, 1, head_dim, dtype=dtype)) == is_taken


def test_the_cache_asks_the_kernels_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told where each hypothesis' ancestors wrote, and take no mask."""
    joint, _, _, position = one_position("beam", torch.float32)
    cache = Cache([torch.zeros(2, 1, 128)], heads=2, head_dim=64, hypotheses=5, positions=48)
    told: list[Tensor] = []

    def attend(joint: Tensor, kept: Tensor, slots: Tensor, position: Tensor) -> Tensor:
        told.append(slots.clone())
        return joint[..., :128]

    kernels = Kernels(attend, are_for=attention_kernels.are_for)
    monkeypatch.setattr(attention, "kernels_on", lambda device: kernels)
    cache.follow(torch.tensor([1]))
    cache.descend(torch.zeros(2, 5, dtype=torch.int64), torch.tensor([2]))
    cache.descend(torch.tensor([[4, 4, 0, 1, 2], [0, 0, 0, 3, 3]]), torch.tensor([3]))
    assert torch.equal(cache.attention_at(position, 5, extent=None)(0, joint), joint[..., :128])
    assert told[0][0, :, :5].tolist() == [
        [0, 0, 4, 0, UNSEEN],
        [0, 0, 4, 1, UNSEEN],
        [0, 0, 0, 2, UNSEEN],
        [0, 0, 1, 3, UNSEEN],
        [0, 0, 2, 4, UNSEEN],
    ]


def test_kernels_that_are_wrong_are_not_used() -> None:
    def attend(joint: Tensor, kept: Tensor, slots: Tensor, position: Tensor) -> Tensor:
        mask = mask_of(slots.roll(1, dims=1), hypotheses=5, extent=None, dtype=joint.dtype)
        return by_torch(joint, kept, position, mask, extent=None)

    def choose(search: BeamSearch, logits: Tensor, position: Tensor) -> None:
        beam_search.by_torch(search, logits, position)
        search.parents.sub_(1)

    def descend(table: Tensor, parents: Tensor, position: Tensor, written: Tensor) -> None:
        descent.by_torch(table, parents, position + 1, written)

    beam_search.check(beam_search.by_torch, CPU)
    descent.check(descent.by_torch, CPU)
    with pytest.raises(ArithmeticError):
        attention.check(Kernels(attend, attention_kernels.are_for), CPU)
    with pytest.raises(ArithmeticError):
        beam_search.check(choose, CPU)
    with pytest.raises(ArithmeticError):
        descent.check(descend, CPU)


def test_whoever_asks_first_for_kernels_has_them_checked_outside_of_inference() -> None:
    """A check may differentiate, which tensors that are made in inference mode cannot take part in."""
    seen: list[bool] = []
    with torch.inference_mode():
        made = compiled(
            "something",
            torch.device("cuda", 0),
            lambda: seen,
            lambda kernels: kernels.append(torch.is_inference_mode_enabled()),
        )
        assert torch.is_inference_mode_enabled()
    assert made is seen
    assert seen == [False]
