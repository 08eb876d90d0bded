"""Every bound that the viewer has to hold, measured: `python -m benchmarks.viewer`.

The numbers come from the app in a pseudo-terminal, watching a database that another process records into;
only the cost of an appended row is taken inside the app, without a terminal.
"""

import argparse
import asyncio
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pexpect
from textual.geometry import Region

from benchmarks.first_paint import first_paint_s, terminal_environment
from benchmarks.live_run import save, step_record

LINES, COLUMNS = 48, 160
LONG = 50_000
APPENDED_ROWS = 200
WATCHED_S = 10.0
STARTS = 5
FRAME_MS = 40.0
"""The bound on a key's wait holds for a whole frame too: it may come right behind one."""

_TIMEOUT_S = 60.0

Measurement = tuple[str, float, str, float]
"""What, the value, its unit, and its bound in the same unit."""


class Screen:
    """The app on a pseudo-terminal, whose bytes are taken as they come."""

    def __init__(self, database: Path, *arguments: str) -> None:
        self._home = tempfile.TemporaryDirectory()
        self._process = pexpect.spawn(
            sys.executable,
            list(arguments) or ["-m", "tui", "--db", str(database)],
            dimensions=(LINES, COLUMNS),
            env=terminal_environment(Path(self._home.name)),
            timeout=_TIMEOUT_S,
        )
        self._process.delaybeforesend = None

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, pexpect.ExceptionPexpect):
            self._process.send("q")
            self._process.expect(pexpect.EOF)
        self._process.close(force=True)
        self._home.cleanup()

    @property
    def pid(self) -> int:
        """Of the process."""
        return int(self._process.pid)

    def send(self, keys: str) -> None:
        """Press keys."""
        self._process.send(keys)

    def seconds_until(self, text: str) -> float:
        """Seconds from now until bytes with this text arrive."""
        started = time.perf_counter()
        self._process.expect_exact(text)
        return time.perf_counter() - started

    def bytes_in(self, seconds: float) -> int:
        """How many bytes come."""
        count, ends = 0, time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            with contextlib.suppress(pexpect.TIMEOUT):
                count += len(self._process.read_nonblocking(1 << 16, timeout=left))
        return count


@contextlib.contextmanager
def live_run(database: Path, rate: float, first: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A run that another process records, while this lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.live_run", str(database), str(rate), str(first)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure_first_paint(_: Path) -> Iterator[Measurement]:
    """From the command to the footer."""
    first_paint_s()
    yield "command to first paint", statistics.median(first_paint_s() for _ in range(STARTS)), "s", 0.8


def measure_append(folder: Path) -> Iterator[Measurement]:
    """One row at the end of a long trajectory: the table's repaint, and the whole screen's with it."""
    database = folder / "append.db"
    run = save(database, "long", LONG)
    table_ms, screen_ms = asyncio.run(_appends_ms(database, run))
    yield f"append at {LONG:,} rows and repaint", statistics.median(table_ms), "ms", 3.0
    yield "… with header, chart and the rest of the frame", statistics.median(screen_ms), "ms", FRAME_MS


async def _appends_ms(database: Path, run: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each append: of the table alone, and of all that the screen does about a new row."""
    from tui.app import ExplorerApp
    from tui.news import TrajectoryRead
    from tui.widgets.trajectory_table import TrajectoryTable

    app = ExplorerApp(database)
    table_ms, screen_ms = [], []
    async with app.run_test(size=(COLUMNS, LINES)) as user:
        table = app.query_one("#table", TrajectoryTable)
        screen = app.screen
        while table.virtual_size.height < LONG:
            await asyncio.sleep(0.01)
        await user.pause()
        for step in range(LONG, LONG + APPENDED_ROWS):
            row = step_record(run, step)
            if step % 2:
                started = time.perf_counter()
                table.rows_added(table._trajectory.extend([row], []))
                table.render_lines(Region(0, 0, *table.size))
                table_ms.append((time.perf_counter() - started) * 1e3)
                screen._on_timer_update()
            else:
                read = TrajectoryRead(run, [row], [], (), is_first=False, is_complete=True, at_s=float(step))
                started = time.perf_counter()
                await screen._dispatch_message(read)
                screen._on_timer_update()  # the paint that would come with the next frame
                screen_ms.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(0)
    return table_ms, screen_ms


def measure_lag(folder: Path) -> Iterator[Measurement]:
    """How long a key press waits for the event loop while rows come fast and are drawn."""
    database, report = folder / "lag.db", folder / "lag.txt"
    with live_run(database, 200.0):
        with Screen(database, "-m", "benchmarks.loop_lag", str(database), str(report)) as screen:
            screen.seconds_until("live/1")
            screen.bytes_in(WATCHED_S)
        lags_ms = sorted(float(line) for line in report.read_text().split())
    p95 = lags_ms[int(0.95 * len(lags_ms))]
    yield "input lag at 200 steps a second, 95th percentile", p95, "ms", 40.0


def measure_bytes(folder: Path) -> Iterator[Measurement]:
    """What a run that is watched sends, and what one that stands still sends."""
    database = folder / "bytes.db"
    with live_run(database, 50.0) as process, Screen(database) as screen:
        screen.seconds_until("live/1")
        screen.bytes_in(2.0)
        sent = screen.bytes_in(WATCHED_S) / WATCHED_S / 1024
        process.send_signal(signal.SIGSTOP)
        screen.bytes_in(2.0)
        still = screen.bytes_in(WATCHED_S / 2)
    yield f"bytes at {COLUMNS}×{LINES}, 50 steps a second", sent, "KiB/s", 120.0
    yield "bytes while nothing changes", still, "bytes", 0.0


def measure_opening(folder: Path) -> Iterator[Measurement]:
    """From the key that selects a long run to its last row on the terminal."""
    database = folder / "opening.db"
    save(database, "long", LONG)
    save(database, "short", 10)
    last_text = str(LONG - 2)  # the row before the last, which the header does not show
    times_s = []
    for _ in range(STARTS):
        with Screen(database) as screen:
            screen.seconds_until("short/1")
            screen.bytes_in(1.5)
            screen.send("\x1b[B\x1b[B")  # over the line of its session
            times_s.append(screen.seconds_until(last_text))
    yield f"opening a saved run of {LONG:,} steps", statistics.median(times_s), "s", 0.5


def measure_replay(folder: Path) -> Iterator[Measurement]:
    """A long run that is replayed at the highest speed while another one is made, and then paused."""
    database = folder / "replay.db"
    run = save(database, "long", LONG)
    call = ("-m", "tui", "--db", str(database), "replay", str(run), "--speed", "100")
    with live_run(database, 50.0), Screen(database, *call) as screen:
        screen.seconds_until("playing 100")
        screen.bytes_in(2.0)
        sent = screen.bytes_in(WATCHED_S) / WATCHED_S / 1024
        screen.send(" ")
        screen.bytes_in(2.0)
        still = screen.bytes_in(WATCHED_S / 2)
        screen.send("q")  # the replay; the second one leaves the app
    yield f"bytes at {COLUMNS}×{LINES}, {LONG:,} rows replayed at 100×", sent, "KiB/s", 120.0
    yield "bytes while the replay is paused", still, "bytes", 0.0


MEASUREMENTS: tuple[Callable[[Path], Iterator[Measurement]], ...] = (
    measure_first_paint,
    measure_append,
    measure_lag,
    measure_bytes,
    measure_opening,
    measure_replay,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each number beside its bound."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.viewer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for measure in MEASUREMENTS:
            for what, value, unit, bound in measure(Path(folder)):
                verdict = "holds" if value <= bound else f"misses by {value - bound:.3g} {unit}"
                print(f"{what}: {value:.3g} {unit} (bound {bound:g}): {verdict}", flush=True)


if __name__ == "__main__":
    main()
