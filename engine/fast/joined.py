"""Several weights in one piece of memory, so that one matrix product takes the place of several."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter


def joined(parameters: Sequence[Parameter]) -> Tensor:
    """Weights (R_i, …) one below the other. # (ΣR_i, …)

    There is no second copy: the parameters become views of what is returned, and keep their values. Weights
    that are joined already are taken as they lie.
    """
    rows, first = [len(parameter) for parameter in parameters], parameters[0].data
    if _touch(parameters):
        return torch.as_strided(first, (sum(rows), *first.shape[1:]), first.stride())
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, torch.split(whole, rows), strict=True):
        parameter.data = part
    return whole


def _touch(parameters: Sequence[Parameter]) -> bool:
    """Whether each begins where the one before it ends, in the same memory."""
    storage = parameters[0].data.untyped_storage().data_ptr()
    end = parameters[0].data.data_ptr()
    for parameter in parameters:
        data = parameter.data
        if data.untyped_storage().data_ptr() != storage or data.data_ptr() != end or not data.is_contiguous():
            return False
        end += data.numel() * data.element_size()
    return True


def joined_biases(biases: Sequence[Parameter | None]) -> Tensor | None:
    """The same of biases, which projections either all have or all lack. # (ΣR_i,)"""
    given = [bias for bias in biases if bias is not None]
    return joined(given) if given else None
