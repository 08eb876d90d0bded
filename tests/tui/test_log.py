"""The log: the end of a file that others write, what failed, and what that looks like."""

import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.store.reading import Reader
from engine.store.records import RunRecord, Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, expect, expect_shown, lines, opened, text
from tui.failure import error_lines, what_failed
from tui.log_tail import MOST_LINES, LogTail
from tui.moments import moment_text
from tui.widgets.log_view import LogLine, broken_line

_STARTED = "2026-01-02 03:04:05 [77] run 1: started at step 0"
_TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "a.py", line 7, in advance',
    "    step()",
    "RuntimeError: no room",
)


def test_a_file_that_grows_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"one\ntw")
    tail = LogTail(path)
    assert tail.read()
    assert tail.lines == ["one", "tw"]
    assert not tail.read()
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert tail.read()
    assert tail.lines == ["one", "two", "three"]


def test_a_file_that_is_not_there_says_so_and_is_read_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    tail = LogTail(path)
    assert tail.read()
    assert tail.problem == "there is none yet"
    assert not tail.read()
    path.write_text("")
    assert tail.read()
    assert tail.problem is None
    path.write_text("one\n")
    assert tail.read()
    assert tail.lines == ["one"]
    path.unlink()
    assert tail.read()
    assert (tail.lines, tail.problem) == ([], "there is none yet")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    tail = LogTail(tmp_path)
    assert tail.read()
    assert tail.problem == "Is a directory"


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_was_rotated_or_cut_is_read_from_its_beginning(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "worker.log"
    path.write_text("old, and longer than what comes\n")
    tail = LogTail(path)
    tail.read()
    if is_replaced:
        path.rename(tmp_path / "worker.log.1")
    path.write_text("new\n")
    assert tail.read()
    assert tail.lines == ["new"]


def test_of_a_huge_file_only_whole_lines_of_its_end_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("".join(f"{number:0100}\n" for number in range(20_000)))
    tail = LogTail(path)
    tail.read()
    assert len(tail.lines) == MOST_LINES - 1
    assert [int(line) for line in tail.lines] == list(range(20_000 - len(tail.lines), 20_000))
    with path.open("a") as file:
        file.write("1\n" * 10)
    before = tail.dropped
    tail.read()
    assert tail.dropped == before + 10
    assert len(tail.lines) == MOST_LINES - 1


def test_a_line_without_end_takes_bounded_room(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"\xff" * 3_000_000)
    tail = LogTail(path)
    tail.read()
    assert [len(line) for line in tail.lines] == [2000]


def test_of_a_progress_bar_the_newest_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"10%\r50%\r100%\r\ncaf\xc3\xa9 \xff\n")
    tail = LogTail(path)
    tail.read()
    assert tail.lines == ["100%", "café \N{REPLACEMENT CHARACTER}"]


def test_the_error_of_a_failed_run_is_found_among_other_runs(recording: Recording) -> None:
    run = _ended(recording, Status.FAILED, "RuntimeError: no room")
    log = [
        *_TRACEBACK[:-1],
        "ValueError: of another",
        "2026-01-02 03:04:04 [77] run 9: failed: ValueError: of another",
        _STARTED,
        *_TRACEBACK,
        "2026-01-02 03:04:06 [77] run 1: failed: RuntimeError: no room",
        "2026-01-02 03:04:07 [77] run 2: loading mini",
    ]
    assert error_lines(run, log) == list(_TRACEBACK)
    assert what_failed(run) == "failed at step 4: RuntimeError: no room"


def test_a_run_that_failed_without_an_error_in_the_log_shows_none(recording: Recording) -> None:
    run = _ended(recording, Status.FAILED, "step 4: the loss is not finite")
    said = "2026-01-02 03:04:06 [77] run 1: failed: step 4: the loss is not finite"
    assert error_lines(run, [_STARTED, said]) == []
    assert error_lines(run, []) == []


@pytest.mark.parametrize("is_noticed", [True, False])
def test_of_a_crash_the_end_of_that_worker_s_log_is_shown(recording: Recording, is_noticed: bool) -> None:
    run = _ended(recording, Status.CRASHED, None)
    log = [_STARTED, "Fatal Python error: Segmentation fault", ""]
    if is_noticed:
        log += [
            "2026-01-02 03:05:00 [88] run 1: its worker is gone; marked as crashed",
            "2026-01-02 03:05:01 [88] run 2: loading mini",
        ]
    assert error_lines(run, log) == ["Fatal Python error: Segmentation fault"]
    assert error_lines(run, [_STARTED]) == [_STARTED]


def test_a_long_line_goes_on_under_its_text() -> None:
    broken = broken_line(LogLine("12:00  ", "x" * 25, "bad"), 20)
    assert [line.head + line.text for line in broken] == ["12:00  " + "x" * 13, " " * 7 + "x" * 12]
    assert {line.tone for line in broken} == {"bad"}


@pytest.mark.parametrize("width", [1, 5, 20, 79])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    hostile = "\x1b[2J[red]日本語👩‍👩‍👧 \u202eabc\tdef" * 5
    for line in broken_line(LogLine("[b]\x1b ", hostile), width):
        assert cell_len(line.head + line.text) <= max(width, 2)
        assert not {"\x1b", "\u202e", "\t"} & set(line.head + line.text)


def test_a_moment_long_past_has_its_day() -> None:
    noon = time.mktime((2026, 1, 2, 12, 0, 7, 0, 0, -1))
    assert moment_text(noon, noon + 3600) == "12:00:07"
    assert moment_text(noon, noon + 86_400) == "01-02 12:00"


async def test_hostile_events_and_log_lines_are_shown_as_text(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 3))
    recording.event(run, 3, "lr", "[red]0.01\x1b[31m → 0.02")
    database.with_suffix(".log").write_bytes(b"[bold]\x1b]0;title\x07 \xe2\x80\xaeback " + b"y" * 300 + b"\n")
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "● running")
        await user.press("o")
        await expect_shown(user, "lr [red]0.01␛[31m → 0.02")
        await user.press("tab")
        await expect_shown(user, "[bold]␛]0;title␇ �back yyy")
        assert sum(line.count("y") for line in lines(user)[1:-1]) == 300


async def test_a_worker_without_a_log_says_so(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 3))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "● running")
        await user.press("o", "tab")
        await expect_shown(user, "No log can be read: there is none yet", "sessions.log")


async def test_a_run_that_crashes_while_its_log_is_open_says_so(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 3))
    database.with_suffix(".log").write_text(f"{_STARTED}\nKilled\n")
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "● running")
        await user.press("o")
        await expect_shown(user, "● running", "log of the worker")
        recording.abandon(run)
        await expect_shown(user, "! crashed", "crashed at step 2", "Killed", "r goes on from the last")


async def test_the_place_stays_when_old_lines_go(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 3))
    log = database.with_suffix(".log")
    log.write_text("".join(f"line {number}.\n" for number in range(MOST_LINES)))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "● running")
        await user.press("o", "tab")
        await expect_shown(user, f"line {MOST_LINES - 1}.")
        await user.press("pageup")
        await expect(user, lambda: f"line {MOST_LINES - 1}." not in text(user))
        seen = lines(user)[5]
        with log.open("a") as file:
            file.write("more\n" * 7)
        await expect_shown(user, "7 new ↓")
        assert lines(user)[5] == seen


def _ended(recording: Recording, status: Status, error: str | None) -> RunRecord:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 5))
    recording.end(run, 4, status, error)
    with Reader(recording.path) as reader:
        return reader.run(run)
