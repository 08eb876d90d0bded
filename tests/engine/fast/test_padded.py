"""The vocabulary's weight with rows of zeros after it: nobody sees them but the matrix products."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.decoding.incremental import IncrementalDecoder
from engine.fast.decoder import FastDecoder
from engine.fast.padded import ROWS_OF_A_TILE, padded
from tests.engine.toy import toy_bundle


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("first", [FastDecoder, IncrementalDecoder])
def test_there_is_one_weight_whoever_comes_first(first: type) -> None:
    decoder: Any = toy_bundle().decoder
    before = weights_of(decoder)
    first(decoder)
    weight = decoder.final_proj.weight
    where = weight.data_ptr()
    whole = FastDecoder(decoder).output_weight
    IncrementalDecoder(decoder)
    assert weight is decoder.decoder_frontend.embed.weight
    assert weight.data_ptr() == where == whole.data_ptr()
    assert len(whole) % ROWS_OF_A_TILE == 0
    assert len(weight) < len(whole) < len(weight) + ROWS_OF_A_TILE
    assert not whole[len(weight) :].any()
    after = weights_of(decoder)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_whole_number_of_tiles_stays_where_it_is() -> None:
    weight = torch.nn.Parameter(torch.ones(2 * ROWS_OF_A_TILE, 3))
    assert padded(weight).data_ptr() == weight.data_ptr()
    assert padded(weight).shape == weight.shape


def test_what_is_moved_afterwards_is_padded_anew() -> None:
    decoder: Any = toy_bundle().decoder
    padded(decoder.final_proj.weight)
    moved = copy.deepcopy(decoder).to(torch.bfloat16)
    whole = padded(moved.final_proj.weight)
    assert whole.dtype == torch.bfloat16
    assert torch.equal(whole[: len(moved.final_proj.weight)], decoder.final_proj.weight.bfloat16())
    assert not whole[len(moved.final_proj.weight) :].any()


def test_a_part_of_other_memory_is_not_taken_for_padded() -> None:
    """Such as what is mapped from a file: something else follows it there."""
    file = torch.ones(ROWS_OF_A_TILE + 5, 3)
    for first in (0, 5):
        weight = torch.nn.Parameter(file[first : first + ROWS_OF_A_TILE - 1])
        whole = padded(weight)
        assert len(whole) == ROWS_OF_A_TILE
        assert whole[:-1].all()
        assert not whole[-1].any()
