"""Sums, their norms and gradients by the interpreted kernels, for `interpreted`."""

import sys
from pathlib import Path

import torch

from engine.fast.residual import Norm
from engine.fast.residual_kernels import backward, forward

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    outputs = {}
    for name, (hidden, added, context, weights, of_normed, of_total) in torch.load(
        directory / "inputs.pt"
    ).items():
        norm = Norm(*weights)
        total, normed, rows = forward(hidden, added, context, norm)
        outputs[name] = (total, normed, backward(total, rows, norm, of_normed, of_total))
    torch.save(outputs, directory / "outputs.pt")
