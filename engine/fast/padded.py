"""Weights with zeros below them: tensor cores read whole tiles, and SONAR's vocabulary is no multiple of one.

A product with a number of rows that is not a multiple of 8 takes kernels that are some two times slower.
"""

import torch
from torch import Tensor
from torch.nn import Parameter

ROWS_OF_A_TILE = 64


def padded_rows(rows: int) -> int:
    """The next whole number of tiles."""
    return -(-rows // ROWS_OF_A_TILE) * ROWS_OF_A_TILE


def padded(parameter: Parameter) -> Tensor:
    """A weight (R, D), and rows of zeros up to a whole number of tiles. # (R', D)

    There is no second copy: the parameter becomes a view of what is returned, and keeps its name, shape and
    values. A weight that is padded already is taken as it lies.
    """
    weight = parameter.data
    rows, dim = weight.shape
    if _is_the_beginning_of(padded_rows(rows) * dim, weight):
        return torch.as_strided(weight, (padded_rows(rows), dim), weight.stride())
    with torch.inference_mode(mode=False):  # a weight that is an inference tensor could not be in autograd
        whole = weight.new_zeros(padded_rows(rows), dim)
        whole[:rows] = weight
        parameter.data = whole[:rows]
    return whole


def _is_the_beginning_of(size: int, weight: Tensor) -> bool:
    """Whether a weight is in memory of its own with just so many values."""
    storage_bytes = weight.untyped_storage().nbytes()
    is_first = weight.is_contiguous() and weight.storage_offset() == 0
    return is_first and storage_bytes == size * weight.element_size()
