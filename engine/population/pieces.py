"""Rows passed through the models in as many pieces as the memory asks for."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from engine.fast.alone import ALONE

Found = TypeVar("Found")


class Pieces:
    """How many rows go together: fewer from the moment on when the memory of the card does not hold them."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once

    def map(self, function: Callable[[slice], Found], rows: int) -> Iterator[Found]:
        """What a function makes of each slice of some rows, in order."""
        first = 0
        while first < rows:
            piece = slice(first, min(first + self._at_once, rows))
            try:
                found = function(piece)
            except torch.OutOfMemoryError:
                if self._at_once == 1:
                    raise
                self._at_once = (piece.stop - piece.start + 1) // 2
                with ALONE:
                    torch.cuda.empty_cache()
                continue
            yield found
            first = piece.stop

    def cat(self, function: Callable[[slice], Tensor], rows: int) -> Tensor:
        """The tensors that a function makes of each slice, one after the other. # (rows, …)"""
        return torch.cat(list(self.map(function, rows)))
