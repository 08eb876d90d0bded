"""Measure steps, decoding, recording and the first paint: `make bench`."""

import argparse
import os
import platform
from collections.abc import Sequence

import torch

from benchmarks import first_paint, recording, steps


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each measurement."""
    argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__).parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    first_paint.main([])
    for measure in (recording.measure, steps.measure):
        for what, value, unit in measure():
            print(f"{what}: {value:.3g} {unit}")


if __name__ == "__main__":
    main()
