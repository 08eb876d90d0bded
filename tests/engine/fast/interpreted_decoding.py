"""Decoding by the interpreted kernels, for `interpreted`."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import engine.decoding  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from engine.decoding import (
    attention_kernels,
    beam_search,
    beam_search_kernels,
    descent,
    descent_kernels,
)
from engine.decoding.beam_search import BeamSearch
from tests.engine.test_search import ours


def attended(joint: Tensor, kept: Tensor, slots: Tensor, position: Tensor) -> list[Tensor]:
    """What a position attends, and what is kept then."""
    return [attention_kernels.attend(joint, kept, slots, position), kept]


def texts(tables: Tensor, beam: int) -> list[list[int]]:
    """What beam search finds in some languages."""
    return ours(tables, beam, BeamSearch)


FUNCTIONS: dict[str, Callable[..., object]] = {"attention": attended, "search": texts}

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    inputs = torch.load(directory / "inputs.pt")
    beam_search.kernels_on = lambda device: beam_search_kernels.choose  # type: ignore[assignment]
    # The languages have few tokens.
    beam_search_kernels.SEGMENT, beam_search_kernels.SEGMENTS_TOGETHER = 2, 4
    descent.kernels_on = lambda device: descent_kernels.descend  # type: ignore[assignment]
    outputs = {name: FUNCTIONS[name.split()[0]](*arguments) for name, arguments in inputs.items()}
    torch.save(outputs, directory / "outputs.pt")
