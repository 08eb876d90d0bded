"""Triton kernels run by Triton's interpreter, on the CPU: in another process, for it is chosen at import."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


def interpreted(script: str, inputs: Mapping[str, object], directory: Path) -> dict[str, list[Tensor]]:
    """Run a module of tests.engine.fast that turns `inputs.pt` into `outputs.pt` in a directory."""
    torch.save(dict(inputs), directory / "inputs.pt")
    subprocess.run(
        [sys.executable, "-m", f"tests.engine.fast.{script}", str(directory)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        check=True,
        timeout=120,
    )
    outputs: dict[str, list[Tensor]] = torch.load(directory / "outputs.pt")
    return outputs
