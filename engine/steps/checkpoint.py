"""Tensors to bytes and back: safetensors with a checksum, as checkpoints are kept."""

from collections.abc import Mapping
from hashlib import sha256

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from engine.errors import UserError

_CHECKSUM = "sha256"


def checkpoint_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors on the CPU as bytes, with a checksum."""
    return save({**tensors, _CHECKSUM: _checksum(tensors)})


def checkpoint_tensors(data: bytes) -> dict[str, Tensor]:
    """What `checkpoint_bytes` was given.

    Raises:
        UserError: the bytes are damaged.
    """
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise UserError(f"checkpoint: damaged: {error}") from error
    checksum = tensors.pop(_CHECKSUM, None)
    if checksum is None or not torch.equal(checksum, _checksum(tensors)):
        raise UserError("checkpoint: damaged: the checksum does not fit the data")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> Tensor:
    """SHA-256 over the names and values. # (32,) uint8"""
    hasher = sha256()
    for name in sorted(tensors):
        hasher.update(name.encode() + tensors[name].numpy().tobytes())
    return torch.frombuffer(bytearray(hasher.digest()), dtype=torch.uint8)
