"""Where z starts, and the norm that it keeps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.spec import RandomInit, RunSpec, TextInit
from engine.steps.step import Vector

MAX_NORM = 1e6
"""Largest L2 norm of an initial z."""


def initial_z(specs: Sequence[RunSpec], bundle: LoadedBundle, given: Vector | None) -> Tensor:
    """Make the z of step 0 of N runs. # (N, D) float32

    Args:
        specs: of the runs.
        bundle: whose embeddings z is one of.
        given: z of every run, which then stands in place of the specs' inits. # (N, D)

    Raises:
        UserError: a text is too long; a stored vector is asked for and none given; or the vector has another
            dimension, a value that is not finite, or a norm that cannot be held.
    """
    if given is None:
        z = torch.stack([_from_init(spec, bundle) for spec in specs])
    else:
        z = torch.tensor(given, dtype=torch.float32, device=bundle.device)
    if z.shape != (len(specs), bundle.dim):
        raise UserError(
            f"init: {' × '.join(map(str, z.shape))} values; bundle {bundle.bundle.name} takes "
            f"{len(specs)} × {bundle.dim}"
        )
    for spec, norm in zip(specs, z.norm(dim=-1).tolist(), strict=True):
        if not norm <= MAX_NORM:
            raise UserError(f"init: a vector of norm {norm:g}; at most {MAX_NORM:g} is allowed")
        if norm == 0 and spec.norm != "free":
            raise UserError(
                "init: a vector of norm 0, which cannot be held; start elsewhere, or leave the norm free"
            )
    return z


def held_norm(specs: Sequence[RunSpec], z: Tensor) -> Tensor:
    """The norm to which each run's effective z is held; 0 where it is free. # (N, 1) float32"""
    initial = z.norm(dim=-1, keepdim=True)
    held = [0.0 if isinstance(spec.norm, str) else spec.norm for spec in specs]
    is_initial = torch.tensor([[spec.norm == "initial"] for spec in specs], device=z.device)
    return torch.where(is_initial, initial, torch.tensor(held, device=z.device).unsqueeze(-1))


def _from_init(spec: RunSpec, bundle: LoadedBundle) -> Tensor:
    match spec.init:
        case TextInit(text=text):
            return bundle.encode([text], field="init", languages=[spec.source_lang]).squeeze(0)
        case RandomInit(seed=seed):
            # Drawn on the CPU, so that a seed means the same direction on every device.
            direction = torch.randn(bundle.dim, generator=torch.Generator().manual_seed(seed))
            z: Tensor = direction / direction.norm() * bundle.embedding_norm
            return z.to(bundle.device)
        case stored:
            raise UserError(f"init: {stored}: the vector itself is needed, as `initial`")
