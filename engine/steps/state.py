"""The state of N runs, and its way to bytes and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from engine.errors import UserError
from engine.optimizers import Optimizer
from engine.schedule import PLATEAU_START
from engine.steps.checkpoint import checkpoint_bytes, checkpoint_tensors

_OWN = ("z", "count", "age", "lr", "held_norm", "read_z", "plateau")
"""Names of the tensors that every state has; the others are the optimisers' slots."""


@dataclass(frozen=True)
class RunState:
    """Everything that a step reads and changes. The tensors are changed in place."""

    z: Tensor
    """Raw z: the optimised parameter, before its norm is held. # (N, D) float32"""

    count: Tensor
    """Updates made so far, which is also the number of the step that z stands for. # (N, 1) int64"""

    age: Tensor
    """Updates made since the optimiser began, or began anew. # (N, 1) int64"""

    lr: Tensor
    """Learning rate in force, without its schedule. # (N, 1) float64"""

    held_norm: Tensor
    """L2 norm to which the effective z is held; 0 where it is free. # (N, 1) float32"""

    read_z: Tensor
    """Effective z that was last read as text; NaN where none was. # (N, D) float32"""

    plateau: Tensor
    """What the lr schedule `plateau` has seen (engine.schedule.plateau_update). # (N, 3) float64"""

    slots: dict[str, Tensor]
    """What the optimisers keep, by name; 0 for a run whose own optimiser has no such slot. # (N, …)"""

    own_slots: tuple[tuple[str, ...], ...]
    """Names of the slots of each run's own optimiser."""

    @classmethod
    def start(cls, z: Tensor, *, lr: Tensor, held_norm: Tensor, optimizers: Sequence[Optimizer]) -> Self:
        """The state before the first update of z (N, D), with an optimiser for each run."""
        return cls(
            z=z,
            count=torch.zeros(len(z), 1, dtype=torch.int64, device=z.device),
            age=torch.zeros(len(z), 1, dtype=torch.int64, device=z.device),
            lr=lr,
            held_norm=held_norm,
            read_z=torch.full_like(z, math.nan),
            plateau=torch.tensor([PLATEAU_START], dtype=torch.float64, device=z.device).repeat(len(z), 1),
            slots={name: slot for optimizer in optimizers for name, slot in optimizer.slots(z).items()},
            own_slots=tuple(tuple(optimizer.slots(z[:1])) for optimizer in optimizers),
        )

    def effective(self, raw_z: Tensor) -> Tensor:
        """Z · held norm / ‖z‖, or z itself where the norm is free. # (N, D)"""
        is_held = self.held_norm > 0  # (N, 1)
        norm = torch.where(is_held, raw_z.norm(dim=-1, keepdim=True), 1.0)
        return raw_z * (torch.where(is_held, self.held_norm, 1.0) / norm)

    def accept(self, z: Tensor, slots: Mapping[str, Tensor], *, runs: Tensor) -> None:
        """Take an update, and count it, for some of the runs.

        Args:
            z: new raw z. # (N, D)
            slots: new slots of one optimiser. # (N, …)
            runs: True for the runs that take it. # (N, 1)
        """
        updated = [(self.z, z), (self.count, self.count + 1), (self.age, self.age + 1)]
        updated += [(self.slots[name], slot) for name, slot in slots.items()]
        for old, new in updated:
            old.copy_(torch.where(runs.view(-1, *[1] * (old.dim() - 1)), new, old))

    def forget_plateau(self, run: int) -> None:
        """Let the lr schedule `plateau` of a run forget what it has seen."""
        self.plateau[run] = self.plateau.new_tensor(PLATEAU_START)

    def begin_anew(self, run: int) -> None:
        """Let a run's optimiser forget what it has seen."""
        self.age[run] = 0
        for name in self.own_slots[run]:
            self.slots[name][run] = 0

    def run_bytes(self, run: int) -> bytes:
        """One run's state as safetensors, with a checksum."""
        return checkpoint_bytes(
            {name: tensor[run].cpu().clone() for name, tensor in self._tensors_of(run).items()}
        )

    def copy_of_run(self, run: int) -> Self:
        """One run's state as it is now, on the same device. # (1, …)"""
        copies = {name: tensor[run : run + 1].clone() for name, tensor in self._tensors_of(run).items()}
        slots = {name: copies.pop(name) for name in self.own_slots[run]}
        return type(self)(**copies, slots=slots, own_slots=(self.own_slots[run],))

    def put_back(self, run: int, copy: Self) -> None:
        """Give a run the state that `copy_of_run` kept."""
        kept = copy._tensors_of(0)
        for name, tensor in self._tensors_of(run).items():
            tensor[run] = kept[name][0]

    def copy(self) -> Self:
        """The state of all runs as it is now, on the same device."""
        slots = {name: tensor.clone() for name, tensor in self.slots.items()}
        return replace(self, **{name: getattr(self, name).clone() for name in _OWN}, slots=slots)

    def put_all_back(self, copy: Self) -> None:
        """Give every run the state that `copy` kept."""
        for name in _OWN:
            getattr(self, name).copy_(getattr(copy, name))
        for name, tensor in self.slots.items():
            tensor.copy_(copy.slots[name])

    def restore_run(self, run: int, data: bytes) -> None:
        """Put back what `run_bytes` gave; nothing is changed when it does not fit.

        Raises:
            UserError: the bytes are damaged, or belong to embeddings of another dimension or to another
                optimiser.
        """
        tensors = checkpoint_tensors(data)
        own = self._tensors_of(run)
        # A checkpoint without these is older than they are: its run had no use for them.
        if "count" in tensors:
            tensors.setdefault("age", tensors["count"])
        tensors.setdefault("read_z", torch.full_like(own["read_z"][run], math.nan, device="cpu"))
        tensors.setdefault("plateau", torch.tensor(PLATEAU_START, dtype=torch.float64))
        self._check_slots(run, tensors)
        for name, tensor in own.items():
            expected = f"{tuple(tensor[run].shape)} {tensor.dtype}"
            found = f"{tuple(tensors[name].shape)} {tensors[name].dtype}" if name in tensors else "nothing"
            if found != expected:
                raise UserError(f"checkpoint: {name} should be {expected}; found {found}")
        for name, tensor in own.items():
            tensor[run] = tensors[name].to(tensor.device)

    def _check_slots(self, run: int, tensors: Mapping[str, Tensor]) -> None:
        """Raise a UserError if a checkpoint holds the slots of another optimiser."""
        own = self.own_slots[run]
        found = sorted(tensors.keys() - self._tensors_of(run).keys())
        if found:
            raise UserError(
                f"checkpoint: of another optimiser, which keeps {', '.join(found)};"
                f" this run's keeps {', '.join(own) or 'nothing'}"
            )

    def _tensors_of(self, run: int) -> dict[str, Tensor]:
        """The tensors in which a run has a row that means something, by name. # (N, …)"""
        own = {name: getattr(self, name) for name in _OWN}
        return {**own, **{name: self.slots[name] for name in self.own_slots[run]}}


@dataclass(frozen=True)
class Moment:
    """Where all runs of an optimization are."""

    state: RunState

    next_step: tuple[int, ...]
    """Of each run: the step whose row comes next."""

    done: tuple[bool, ...]
