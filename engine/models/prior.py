"""What the embeddings of real sentences are like: a Gaussian with a diagonal covariance."""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import UserError


class Prior(NamedTuple):
    """Statistics of sentence embeddings, coordinate by coordinate."""

    mean: Tensor
    """(D,), float32"""

    variance: Tensor
    """(D,), float32, positive"""


def fit(embeddings: Tensor) -> Prior:
    """The Gaussian under which the embeddings (N, D) of N sentences are likeliest.

    Raises:
        UserError: they are too few, not finite, or alike in a coordinate.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise UserError(f"prior: embeddings of shape {tuple(embeddings.shape)}; expected at least 2 × D")
    values = embeddings.double()
    prior = Prior(values.mean(dim=0).float(), values.var(dim=0, unbiased=False).float())
    if complaint := _complaint(prior):
        raise UserError(f"prior: {complaint} over {len(embeddings)} embeddings")
    return prior


def save_prior(prior: Prior, path: Path, *, count: int) -> None:
    """Write a prior, with the number of sentences that it was fitted on, as safetensors."""
    save_file({**prior._asdict(), "count": torch.tensor(count)}, path)


def load_prior(path: Path) -> Prior:
    """Read what `save_prior` wrote, onto the CPU.

    Raises:
        UserError: the file is missing or damaged, or what it holds is no Gaussian.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read as safetensors: {' '.join(str(error).split())}") from error
    if missing := [name for name in Prior._fields if name not in tensors]:
        raise UserError(f"{path}: {missing[0]} is missing; expected {' and '.join(Prior._fields)}")
    prior = Prior(*(tensors[name].float() for name in Prior._fields))
    if complaint := _complaint(prior):
        raise UserError(f"{path}: {complaint}")
    return prior


def _complaint(prior: Prior) -> str | None:
    """What keeps it from being a Gaussian."""
    mean, variance = prior
    if mean.ndim != 1 or not mean.numel() or mean.shape != variance.shape:
        return f"mean {tuple(mean.shape)} and variance {tuple(variance.shape)}; expected (D,) both"
    for name, values in prior._asdict().items():
        if not values.isfinite().all():
            return f"{name} is not finite in {_places(~values.isfinite())}"
    if not (variance > 0).all():
        return f"variance is not positive in {_places(~(variance > 0))}"
    return None


def _places(where: Tensor) -> str:
    return f"{int(where.sum())} of {where.numel()} coordinates"
