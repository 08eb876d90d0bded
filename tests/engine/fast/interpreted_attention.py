"""Attention and its gradient by the interpreted kernels, for `interpreted`."""

import sys
from pathlib import Path

import torch

from engine.fast.attention_kernels import backward, forward

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    inputs = torch.load(directory / "inputs.pt")
    torch.save(
        {
            name: (forward(joint, heads), backward(joint, gradient, heads))
            for name, (joint, gradient, heads) in inputs.items()
        },
        directory / "outputs.pt",
    )
