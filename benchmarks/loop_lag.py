"""The explorer with a stop-watch on its event loop, which is what a key press waits for.

    python -m benchmarks.loop_lag DATABASE REPORT

A timer wakes every 20 ms; how late it is goes into REPORT, one number of milliseconds a line, on leaving.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import tui.app
from tui.app import ExplorerApp

INTERVAL_S = 0.02


class WatchedApp(ExplorerApp):
    """The explorer, and how late its loop was each time."""

    CSS_PATH = str(Path(tui.app.__file__).parent / "styles" / "app.tcss")

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.lags_ms: list[float] = []

    async def on_ready(self) -> None:
        """Start the watch once the screen is there."""
        self._watch = asyncio.create_task(self._time_the_loop())

    async def _time_the_loop(self) -> None:
        while True:
            due = time.perf_counter() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self.lags_ms.append((time.perf_counter() - due) * 1e3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the app until it is left, then write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loop_lag",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", metavar="DATABASE", type=Path)
    parser.add_argument("report", metavar="REPORT", type=Path)
    options = parser.parse_args(arguments)
    app = WatchedApp(options.database)
    app.run()
    options.report.write_text("\n".join(f"{lag:.2f}" for lag in app.lags_ms))


if __name__ == "__main__":
    main()
