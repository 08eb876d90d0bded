"""Gated activations and their gradients by the interpreted kernels, for `interpreted`."""

import sys
from pathlib import Path

import torch

from engine.fast.gated_kernels import backward, forward

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    inputs = torch.load(directory / "inputs.pt")
    torch.save(
        {
            name: (forward(gate_up), backward(gate_up, gradient))
            for name, (gate_up, gradient) in inputs.items()
        },
        directory / "outputs.pt",
    )
