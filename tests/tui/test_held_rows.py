"""A run of any length takes the same memory: rows that are not held are read when they are looked at."""

import re
from pathlib import Path

import pytest

from engine.store.connection import connect
from tests.tui.recording import Recording
from tests.tui.screen import MEDIUM, User, expect, expect_shown, lines, opened, table_of
from tests.tui.test_replay import HandClock
from tui.live import DatabaseWatcher
from tui.trajectory import HELD_ROWS

ROWS = 5 * HELD_ROWS + 321
DECODE_EVERY = 1000


def loss(step: int) -> float:
    """Of the row of a step: no two near one another have the same, and four decimals say it all."""
    return 1 + (step * 7919 % 10007) / 10_000


def prediction(step: int) -> str:
    """What a decoded row decodes to; every second one to the same as the one before."""
    return f"words number {step // DECODE_EVERY // 2}"


def record(path: Path, run: int, first: int, end: int) -> None:
    """Record rows in one transaction."""
    connection = connect(path)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO step (run, step, loss, terms, lr, decoded_prediction, decoded_z, match)"
        " VALUES (?, ?, ?, '{}', 0.01, ?, ?, ?)",
        (
            (run, step, loss(step), *((prediction(step), f"z {step}", 0) if is_decoded else (None,) * 3))
            for step in range(first, end)
            for is_decoded in [step % DECODE_EVERY == 0]
        ),
    )
    connection.execute("COMMIT")
    connection.close()


@pytest.fixture
def run(database: Path, recording: Recording) -> int:
    """A run of more rows than are held."""
    run = recording.begin(steps=ROWS)
    record(database, run, 0, ROWS)
    return run


def shown(user: User) -> dict[int, str]:
    """The losses that stand in the table, by their steps."""
    table = table_of(user)
    region = table.region
    found = {}
    for line in lines(user)[region.y + 1 : region.bottom]:
        cells = line[region.x :].split()
        if cells and cells[0].isdigit():
            found[int(cells[0])] = cells[1] if len(cells) > 1 else ""
    return found


async def expect_rows(user: User, *steps: int) -> None:
    """Wait until these rows are among those in the table, and all of those are as they are stored."""

    def is_there() -> bool:
        rows = shown(user)
        return set(steps) <= rows.keys() and all(value == f"{loss(step):.4f}" for step, value in rows.items())

    await expect(user, is_there)


async def all_rows_are_there(user: User) -> None:
    await expect(user, lambda: table_of(user).virtual_size.height > ROWS)


async def test_rows_are_those_that_are_stored_wherever_one_goes(database: Path, run: int) -> None:
    async with opened(database) as user:
        await all_rows_are_there(user)
        table = table_of(user)
        table.focus()
        await expect_rows(user, ROWS - 1, ROWS - 10)
        await user.press("home")
        await expect_rows(user, 0, 10)
        for _ in range(12):
            await user.press("pagedown")
        step = table._trajectory.step_at(table.cursor)
        assert step > 200
        await expect_rows(user, step, step - 10)
        table.on_scroll_to(None)  # type: ignore[arg-type]
        table.scroll_to(y=12_345, animate=False, force=True)
        await expect_rows(user, 12_350, 12_360)
        assert not table.follows
        await user.press("end")
        await expect_rows(user, ROWS - 1, ROWS - 10)
        assert table.follows
        assert len(table._trajectory.window) <= HELD_ROWS


async def test_jumps_lead_to_rows_that_are_not_held(database: Path, recording: Recording, run: int) -> None:
    recording.event(run, 3210, "lr", "0.01 → 0.02")
    async with opened(database) as user:
        await all_rows_are_there(user)
        table = table_of(user)
        table.focus()
        await user.press("end", "left_square_bracket")
        await expect_rows(user, 24_000)
        await expect_shown(user, "words number 12")
        await user.press(*["left_square_bracket"] * 10)
        await expect_rows(user, 4000)
        await expect_shown(user, "words number 2")
        await user.press("left_curly_bracket")
        await expect_shown(user, "lr 0.01 → 0.02")
        await expect_rows(user, 3210)
        await user.press("d")
        table.go_to_step(7000)
        await expect_rows(user, 7000)
        await expect_shown(user, "words number 3")


async def test_folded_lines_have_the_texts_of_rows_that_are_far_apart(database: Path, run: int) -> None:
    async with opened(database) as user:
        await all_rows_are_there(user)
        await user.press("tab", "end", "z")
        last = ROWS // DECODE_EVERY // 2
        parts = [f"{2 * DECODE_EVERY * each}–" for each in range(last + 1)]
        await expect_shown(user, *parts, *(f"words number {each} ×" for each in range(last)))
        assert len(table_of(user)._trajectory.window) <= HELD_ROWS


async def test_an_opened_row_that_is_not_held_is_read(database: Path, run: int) -> None:
    async with opened(database) as user:
        await all_rows_are_there(user)
        await user.press("tab", "up", "enter")
        await expect_shown(user, f"step {ROWS - 2} of {ROWS}", "words number 12", "of step 25000, the last")
        for step in (24_000, 22_000, 20_000):
            await user.press("left_square_bracket")
            await expect_shown(user, f"step {step} of {ROWS}", f"z {step}", f"loss {loss(step):.4f}")
        await user.press("left")
        await expect_shown(user, "step 19999 of", "of step 19000, the last decoded one", "words number 9")
        await user.press("escape")
        await expect_rows(user, 19_999)


async def test_what_is_held_stays_bounded_while_rows_come(database: Path, recording: Recording) -> None:
    run = recording.begin(steps=ROWS)
    record(database, run, 0, 100)
    async with opened(database) as user:
        table = table_of(user)
        for first in range(100, ROWS, 1500):
            end = min(first + 1500, ROWS)
            record(database, run, first, end)
            await expect(user, lambda end=end: end - 1 in shown(user))  # type: ignore[misc]
            assert len(table._trajectory.window) <= HELD_ROWS
        await expect_rows(user, ROWS - 1)
        table.focus()
        await user.press("home")
        await expect_rows(user, 0, 1)


async def test_the_chart_on_the_whole_screen_has_all_rows(database: Path, run: int) -> None:
    async with opened(database) as user:
        await all_rows_are_there(user)
        await user.press("C")
        await expect_shown(user, f"today/1  loss, {ROWS} rows")


async def test_a_replay_shows_rows_that_are_not_held(database: Path, recording: Recording, run: int) -> None:
    clock = HandClock()
    async with opened(database, clock=clock, size=MEDIUM) as user:
        await all_rows_are_there(user)
        await user.press("R")
        await expect_shown(user, "playing", f"step 0/{ROWS - 1}")
        for _ in range(6):
            await user.press("plus")
        await expect_shown(user, "playing 100×")
        for step in (3000, 6000, 9000):
            clock.now_s += 3.0
            await expect_shown(user, f"step {step}/{ROWS - 1}")
            await expect(user, lambda step=step: f"{loss(step):.4f}" in _row_of(user, step))  # type: ignore[misc]
        await user.press("space", "comma")
        await expect(user, lambda: f"{loss(8999):.4f}" in _row_of(user, 8999))
        await user.press("home")
        await expect(user, lambda: f"{loss(0):.4f}" in _row_of(user, 0))


def _row_of(user: User, step: int) -> str:
    """The line of a step in the table of a replay."""
    return next((line for line in lines(user) if re.match(rf"\s+{step}\s+[\d.]+\s", line)), "")


async def test_a_row_says_which_it_is_before_it_is_read(
    database: Path, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[DatabaseWatcher, int, range]] = []
    read_rows = DatabaseWatcher.read_rows
    monkeypatch.setattr(DatabaseWatcher, "read_rows", lambda *what: asked.append(what))
    async with opened(database) as user:
        await all_rows_are_there(user)
        await user.press("tab", "home")
        await expect(user, lambda: shown(user).get(0) == "…")
        assert set(shown(user).values()) == {"…"}
        assert len(shown(user)) > 10
        for what in asked:
            read_rows(*what)
        await expect_rows(user, 0, 10)
