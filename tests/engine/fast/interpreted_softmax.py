"""Losses and errors of logits by the interpreted kernels, for `interpreted`."""

import sys
from pathlib import Path

import torch

from engine.fast.softmax_kernels import by_kernels

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    inputs = torch.load(directory / "inputs.pt")
    torch.save({name: by_kernels(*arguments) for name, arguments in inputs.items()}, directory / "outputs.pt")
