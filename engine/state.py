"""The state of N runs, and its way to bytes and back."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engine.errors import UserError

_CHECKSUM = "sha256"


@dataclass(frozen=True)
class RunState:
    """Everything that a step reads and changes. The tensors are changed in place."""

    z: Tensor
    """Raw z: the optimised parameter, before its norm is held. # (N, D) float32"""

    first_moment: Tensor
    """Adam's running mean of the gradient. # (N, D) float32"""

    second_moment: Tensor
    """Adam's running mean of the squared gradient. # (N, D) float32"""

    count: Tensor
    """Updates made so far, which is also the number of the step that z stands for. # (N, 1) int64"""

    lr: Tensor
    """Learning rate of the next update. # (N, 1) float64"""

    held_norm: Tensor
    """L2 norm to which the effective z is held; 0 where it is free. # (N, 1) float32"""

    @classmethod
    def start(cls, z: Tensor, *, lr: Tensor, held_norm: Tensor) -> Self:
        """The state before the first update of z (N, D)."""
        return cls(
            z=z,
            first_moment=torch.zeros_like(z),
            second_moment=torch.zeros_like(z),
            count=torch.zeros(len(z), 1, dtype=torch.int64, device=z.device),
            lr=lr,
            held_norm=held_norm,
        )

    def run_bytes(self, run: int) -> bytes:
        """One run's state as safetensors, with a checksum."""
        tensors = {name: tensor[run].cpu().clone() for name, tensor in vars(self).items()}
        return save({**tensors, _CHECKSUM: _checksum(tensors)})

    def copy_of_run(self, run: int) -> Self:
        """One run's state as it is now, on the same device. # (1, …)"""
        return type(self)(**{name: tensor[run : run + 1].clone() for name, tensor in vars(self).items()})

    def put_back(self, run: int, copy: Self) -> None:
        """Give a run the state that `copy_of_run` kept."""
        for name, tensor in vars(self).items():
            tensor[run] = getattr(copy, name)[0]

    def restore_run(self, run: int, data: bytes) -> None:
        """Put back what `run_bytes` gave; nothing is changed when it does not fit.

        Raises:
            UserError: the bytes are damaged, or belong to embeddings of another dimension.
        """
        try:
            tensors = load(data)
        except SafetensorError as error:
            raise UserError(f"checkpoint: damaged: {error}") from error
        checksum = tensors.pop(_CHECKSUM, None)
        if checksum is None or not torch.equal(checksum, _checksum(tensors)):
            raise UserError("checkpoint: damaged: the checksum does not fit the data")
        for name, tensor in vars(self).items():
            expected = f"{tuple(tensor[run].shape)} {tensor.dtype}"
            found = f"{tuple(tensors[name].shape)} {tensors[name].dtype}" if name in tensors else "nothing"
            if found != expected:
                raise UserError(f"checkpoint: {name} should be {expected}; found {found}")
        for name, tensor in vars(self).items():
            tensor[run] = tensors[name].to(tensor.device)


def _checksum(tensors: dict[str, Tensor]) -> Tensor:
    """SHA-256 over the names and values. # (32,) uint8"""
    hasher = sha256()
    for name in sorted(tensors):
        hasher.update(name.encode() + tensors[name].numpy().tobytes())
    return torch.frombuffer(bytearray(hasher.digest()), dtype=torch.uint8)
