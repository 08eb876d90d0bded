"""Keys and values of the positions that a decoder has seen."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Cache:
    """Keys and values of R rows at up to L positions, in B slots: one a hypothesis.

    When a hypothesis goes on in another's slot, its past stays where it was written. Every hypothesis looks
    at all slots of its row, and a mask hides those that its ancestors did not write: so nothing but the mask
    is moved from step to step.
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
        # Zeros, because what is hidden still has to be finite. Keys, then values: # (2, R, A, L, B, E) each
        self._kept = [first.new_zeros(shape) for _ in self.contributions]
        # Hypothesis, position, slot: 0 where an ancestor wrote, else -inf.
        self._ancestry = first.new_full((len(first), hypotheses, positions, hypotheses), -torch.inf)
        self._ancestry[:, :, 0, 0] = 0
        other = ~torch.eye(hypotheses, dtype=torch.bool, device=first.device)
        self._own_slot = first.new_zeros(hypotheses, hypotheses).masked_fill(other, -torch.inf)  # (B, B)

    @property
    def positions(self) -> int:
        """L"""
        return self._kept[0].shape[3]

    def restart(self, contributions: Sequence[Tensor]) -> None:
        """Forget everything, and take up as many rows anew in the same memory.

        Args:
            contributions: as to the constructor.
        """
        torch._foreach_zero_(self._kept)
        torch._foreach_copy_(self.contributions, list(contributions))
        self._ancestry.fill_(-torch.inf)
        self._ancestry[:, :, 0, 0] = 0

    def mask(self, hypotheses: int, extent: int | None) -> Tensor | None:
        """What each hypothesis may look at, to be added to attention's logits.

        Args:
            hypotheses: H, the first ones of each row.
            extent: X, number of positions that were written; None: look at all L, the others hidden.

        Returns:
            (R, 1, H, X · B); None where nothing is hidden.
        """
        if extent is not None and len(self._own_slot) == 1:
            return None
        return self._ancestry[:, :hypotheses, :extent].flatten(2).unsqueeze(1)

    def write(self, layer: int, position: Tensor, keys_and_values: Tensor) -> None:
        """Keep what the first H hypotheses have at a position (1,). # (2, R, A, H, E)"""
        hypotheses = keys_and_values.shape[3]
        kept = self._kept[layer][..., :hypotheses, :]
        kept.index_copy_(3, position, keys_and_values.unsqueeze(3))

    def read(self, layer: int, extent: int | None) -> tuple[Tensor, Tensor]:
        """Keys and values of the first X positions, of all where it is None. # (R, A, X · B, E)"""
        keys, values = self._kept[layer][:, :, :, :extent].flatten(3, 4).unbind()
        return keys, values

    def follow(self, position: Tensor) -> None:
        """Have the only hypothesis of each row go on to a position (1,)."""
        self._ancestry[..., 0].index_fill_(2, position, 0)

    def descend(self, parents: Tensor, position: Tensor) -> None:
        """Let B hypotheses of each row go on from older ones, and have each write into its own slot next.

        Args:
            parents: the one that each goes on from. # (R, B)
            position: the next. # (1,)
        """
        rows, hypotheses, _, slots = self._ancestry.shape
        if slots > 1:
            chosen = parents[:, :, None, None].expand_as(self._ancestry)
            self._ancestry.copy_(self._ancestry.gather(1, chosen))
        own = self._own_slot[None, :, None].expand(rows, hypotheses, 1, slots)
        self._ancestry.index_copy_(2, position, own)

    def select(self, rows: Tensor) -> None:
        """Keep some rows only, by their numbers (K,)."""
        self.contributions = [tensor[rows] for tensor in self.contributions]
        self._kept = [tensor[:, rows] for tensor in self._kept]
        self._ancestry = self._ancestry[rows]

    def extend(self, positions: int) -> None:
        """Make room for more positions."""
        self._kept = [_extended(tensor, 3, positions, 0) for tensor in self._kept]
        self._ancestry = _extended(self._ancestry, 2, positions, -torch.inf)


def _extended(tensor: Tensor, dimension: int, length: int, fill: float) -> Tensor:
    """The tensor with a dimension made longer."""
    shape = list(tensor.shape)
    shape[dimension] = length
    longer = tensor.new_full(shape, fill)
    longer.narrow(dimension, 0, tensor.shape[dimension]).copy_(tensor)
    return longer
