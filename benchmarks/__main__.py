"""Measure steps, decoding, recording and the first paint: `make bench`."""

import os
import platform

import torch

from benchmarks import first_paint, recording, steps


def main() -> None:
    """Print one line for each measurement."""
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    first_paint.main()
    for measure in (recording.measure, steps.measure):
        for what, value, unit in measure():
            print(f"{what}: {value:.3g} {unit}")


if __name__ == "__main__":
    main()
