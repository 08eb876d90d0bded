"""Keys and values of the positions that a decoder has seen."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.decoding import attention
from engine.decoding.descent import descend


class Cache:
    """Keys and values of R rows at up to L positions, in B slots: one a hypothesis.

    When a hypothesis goes on in another's slot, its past stays where it was written, and it keeps the slot
    that its ancestor had at each position: so nothing but these numbers is moved from step to step.
    """

    def __init__(
        self,
        contributions: Sequence[Tensor],
        *,
        heads: int,
        head_dim: int,
        hypotheses: int,
        positions: int,
    ) -> None:
        """Begin rows.

        Args:
            contributions: what attention to the embedding adds in each layer. # (R, 1, D) each
            heads: A
            head_dim: E
            hypotheses: B
            positions: L
        """
        self.contributions = list(contributions)
        first = self.contributions[0]
        shape = (2, len(first), heads, positions, hypotheses, head_dim)
        # Zeros, because what a mask hides still has to be finite. Keys, then values.
        # (2, R, A, L, B, E) each
        self._kept = [first.new_zeros(shape) for _ in self.contributions]
        self._slots = torch.full(
            (len(first), hypotheses, positions), attention.UNSEEN, device=first.device
        )  # (R, B, L)
        self._slots[:, :, 0] = 0
        self._own_slot = torch.arange(hypotheses, device=first.device).unsqueeze(0)  # (1, B)

    @property
    def positions(self) -> int:
        """L"""
        return self._kept[0].shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values."""
        return sum(tensor.nbytes for tensor in self._kept)

    def restart(self, contributions: Sequence[Tensor]) -> None:
        """Forget everything, and take up as many rows anew in the same memory.

        Args:
            contributions: as to the constructor.
        """
        if self._kernels is None:
            torch._foreach_zero_(self._kept)
        torch._foreach_copy_(self.contributions, list(contributions))
        self._slots.fill_(attention.UNSEEN)
        self._slots[:, :, 0] = 0

    def attention_at(
        self, position: Tensor, hypotheses: int, *, extent: int | None
    ) -> Callable[[int, Tensor], Tensor]:
        """How the first H hypotheses of each row attend, at a position, to it and to those before.

        Args:
            position: counted from 0. # (1,)
            hypotheses: H
            extent: number of positions up to this one; None: it is not known to the host.

        Returns:
            A function of the layer's number and of queries, keys and values (R, H, 3 · D), which keeps these
            keys and values. # (R, H, D)
        """
        if self._kernels is not None:
            attend = self._kernels.attend
            return lambda layer, joint: attend(joint, self._kept[layer], self._slots, position)
        dtype = self._kept[0].dtype
        mask = attention.mask_of(self._slots, hypotheses=hypotheses, extent=extent, dtype=dtype)
        return lambda layer, joint: attention.by_torch(
            joint, self._kept[layer], position, mask, extent=extent
        )

    @property
    def _kernels(self) -> attention.Kernels | None:
        kernels = attention.kernels_on(self._slots.device)
        return kernels if kernels is not None and kernels.are_for(self._kept[0]) else None

    def follow(self, position: Tensor) -> None:
        """Have the only hypothesis of each row go on to a position (1,)."""
        self._slots.index_fill_(2, position, 0)

    def descend(self, parents: Tensor, position: Tensor) -> None:
        """Let B hypotheses of each row go on from older ones, and have each write into its own slot next.

        Args:
            parents: the one that each goes on from. # (R, B)
            position: the next. # (1,)
        """
        descend(self._slots, parents, position, self._own_slot)

    def select(self, rows: Tensor) -> None:
        """Keep some rows only, by their numbers (K,)."""
        self.contributions = [tensor[rows] for tensor in self.contributions]
        self._kept = [tensor[:, rows] for tensor in self._kept]
        self._slots = self._slots[rows]

    def extend(self, positions: int) -> None:
        """Make room for more positions."""
        self._kept = [_extended(tensor, 3, positions, 0) for tensor in self._kept]
        self._slots = _extended(self._slots, 2, positions, attention.UNSEEN)


def _extended(tensor: Tensor, dimension: int, length: int, fill: float) -> Tensor:
    """The tensor with a dimension made longer."""
    shape = list(tensor.shape)
    shape[dimension] = length
    longer = tensor.new_full(shape, fill)
    longer.narrow(dimension, 0, tensor.shape[dimension]).copy_(tensor)
    return longer
