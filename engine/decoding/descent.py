"""What hypotheses bring along from position to position, when they go on from one another."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from engine.fast.compiled import check_alike, compiled

Descend = Callable[[Tensor, Tensor, Tensor, Tensor], None]


def descend(table: Tensor, parents: Tensor, position: Tensor, written: Tensor) -> None:
    """Let each hypothesis of each row take over what its parent has, and write something of its own.

    Args:
        table: what B hypotheses of each row have at each position; written in place. # (R, B, L)
        parents: the hypothesis that each goes on from. # (R, B)
        position: where each writes. # (1,)
        written: that it writes. # (R, B), or (1, B) for all rows
    """
    (kernels_on(table.device) or by_torch)(table, parents, position, written.expand(parents.shape))


def by_torch(table: Tensor, parents: Tensor, position: Tensor, written: Tensor) -> None:
    """The same, one operation after the other."""
    if table.shape[1] > 1:
        table.copy_(table.gather(1, parents.unsqueeze(2).expand_as(table)))
    table.index_copy_(2, position, written.unsqueeze(2))


@cache
def kernels_on(device: torch.device) -> Descend | None:
    """The same by a kernel; None where there is none."""

    def load() -> Descend:
        from engine.decoding.descent_kernels import descend

        return descend

    return compiled("hypotheses", device, load, lambda kernel: check(kernel, device))


def check(kernel: Descend, device: torch.device) -> None:
    """Compare with torch's own, on a few rows.

    Raises:
        ArithmeticError: the kernel is wrong.
    """
    rows, beam, positions = 3, 5, 70
    random = torch.Generator().manual_seed(0)
    table = torch.randint(1000, (rows, beam, positions), generator=random).to(device)
    parents = torch.randint(beam, (rows, beam), generator=random).to(device)
    position, written = torch.tensor([65], device=device), torch.arange(beam, device=device).expand(rows, -1)
    expected = table.clone()
    by_torch(expected, parents, position, written)
    kernel(table, parents, position, written)
    check_alike(table, expected, 0.0)
