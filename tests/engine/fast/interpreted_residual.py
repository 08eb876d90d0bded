"""Sums, their norms and gradients by the interpreted kernels, for `interpreted`."""

import sys
from pathlib import Path

import torch

from engine.fast.residual import Norm
from engine.fast.residual_kernels import backward, forward, over_positions

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    outputs = {}
    for name, (hidden, added, context, weights, of_normed, of_total) in torch.load(
        directory / "inputs.pt"
    ).items():
        norm = Norm(*weights)
        total, normed, rows = forward(hidden, added, context, norm)
        of_added = backward(total, rows, norm, of_normed, of_total)
        outputs[name] = (total, normed, of_added, over_positions(of_normed))
    torch.save(outputs, directory / "outputs.pt")
