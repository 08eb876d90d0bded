"""Time from the command to the first paint of the explorer, as a terminal sees it.

    python -m benchmarks.first_paint [RUNS]

Starts `python -m tui` in a pseudo-terminal on the database that it would open, and measures until the footer
is on the screen.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect

FOOTER = b"leave"
SIZE = (40, 120)
_TIMEOUT_S = 60.0


def terminal_environment(home: Path) -> dict[str, str]:
    """The environment of a colour terminal, in which the user has no configuration and no earlier view."""
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "XDG_CONFIG_HOME": str(home),
        "XDG_STATE_HOME": str(home),
    }


def first_paint_s() -> float:
    """Seconds from starting the process to the footer on the screen."""
    with tempfile.TemporaryDirectory() as home:
        return _first_paint_s(terminal_environment(Path(home)))


def _first_paint_s(environment: dict[str, str]) -> float:
    started = time.perf_counter()
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tui"],
        dimensions=SIZE,
        env=environment,
        timeout=_TIMEOUT_S,
    )
    child.expect(FOOTER)
    painted_s = time.perf_counter() - started
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    return painted_s


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the median of some starts, after one that warms the disk cache."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_paint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUNS", nargs="?", type=int, default=7, help="starts (%(default)s)")
    runs = parser.parse_args(arguments).runs
    first_paint_s()
    seconds = sorted(first_paint_s() for _ in range(runs))
    middle = statistics.median(seconds)
    print(f"first paint: {middle:.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f} s in {runs} starts)")


if __name__ == "__main__":
    main()
