"""The trajectory table and an opened row hold what they promise for any text, width and order of arrival."""

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.spec import PUBLISHED_TARGET
from engine.store.records import StepRecord
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import LARGE, MEDIUM, SMALL, expect, expect_shown, lines, opened, table_of, text
from tui.trajectory import Trajectory

HOSTILE = (
    "[bold]not bold[/bold] [@click=app.quit]no link[/]",
    "\x1b[2J\x1b]0;title\x07 line\nbreak\ttab\rreturn",
    "\u202eright to left\u202c \u2066isolated\u2069 \u200bzero\u200dwidth\ufeff שלום",
    "日本語の文章、한국어 문장 " * 20,
    "👩‍👩‍👧 👍🏽 🇫🇷 ❤️ e" + "\u0301" * 50,
    "Lily " * 2000,
    "x" * 10_000,
)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_hostile_texts_are_painted_in_their_cells_however_they_are_compared_folded_and_opened(
    database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin(target="[red]x[/red] \x1b[31m\u202etxt.exe 日本語 👩‍👩‍👧")
    recording.steps(
        run,
        [
            row(run, step, decoded_prediction=words, decoded_z=words[::-1], match=False)
            for step, words in enumerate(HOSTILE)
        ],
    )

    async with opened(database, size=size) as user:
        await expect_shown(user, "[bold]not bold")
        for keys in (["tab", "home"], ["d"], ["d"], ["z"], ["d"], ["z"], ["home", "enter"], *[["right"]] * 6):
            await user.press(*keys)
            await user.pause()
            assert all(cell_len(line) == size[0] for line in lines(user))
            assert not re.search(r"[\x00-\x1f\x7f\u202e\u2066\u200b\ufeff]", "".join(lines(user)))
        await expect_shown(user, f"{run}, step 6 of 100")


async def test_terms_have_columns_where_there_are_several_and_there_is_room(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(weights={"ce": 1, "cosine": 0.1})
    recording.steps(run, [row(run, 0, loss=3.5, terms={"ce": 3.625, "cosine": -0.25})])
    async with opened(database, size=LARGE) as user:
        await expect_shown(user, "3.5000    3.6250   -0.2500   0.050")
        assert "loss        ce    cosine     sim" in text(user)
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "3.5000   0.050")


async def test_one_term_is_the_loss_and_has_no_column(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, 0, loss=3.5)])
    async with opened(database, size=(220, 40)) as user:
        await expect_shown(user, "3.5000   0.050")


async def test_the_place_survives_rows_that_arrive_behind_and_in_front(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=5000)
    recording.steps(run, [row(run, 0)])
    async with opened(database) as user:
        await expect_shown(user, "3.6000")
        table = table_of(user)
        trajectory = Trajectory()
        trajectory.extend(_steps(run, 4000, 4100), [])
        table.show_trajectory(trajectory)
        await user.press("tab", *["up"] * 40)
        await user.pause()
        seen = [line for line in lines(user) if re.search(r"\s40\d\d\s", line)]
        assert table.place == 4059
        for first, end, is_before in ((4100, 4110, False), (2000, 4000, True), (0, 2000, True)):
            table.rows_added(trajectory.extend(_steps(run, first, end), [], is_before=is_before))
            await user.pause()
            assert table.place == 4059
            shown = text(user)
            assert all(line[32:70] in shown for line in seen[:-1])
        await expect_shown(user, "10 new ↓")


async def test_a_place_is_gone_to_when_its_row_arrives_unless_the_user_moves_first(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=5000)
    async with opened(database) as user:
        await expect_shown(user, "● running")
        table = table_of(user)
        table.restore_place(run, 10)
        trajectory = Trajectory()
        trajectory.extend(_steps(run, 100, 200), [])
        table.show_trajectory(trajectory)
        assert table.follows
        assert table.place == 10
        table.rows_added(trajectory.extend(_steps(run, 0, 100), [], is_before=True))
        assert not table.follows
        assert trajectory.step_at(table.cursor) == 10
        await expect(user, lambda: re.search(r"\s10\s+\d\.\d{4}", text(user)))
        table.restore_place(run, 300)
        await user.press("tab", "up")
        table.rows_added(trajectory.extend(_steps(run, 200, 400), []))
        assert table.place == 9
        table.restore_place(run, None)
        assert table.follows
        assert table.place is None


async def test_a_folded_table_follows_its_end_and_keeps_the_place(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    async with opened(database, size=MEDIUM) as user:
        await expect_shown(user, "24 ")
        await user.press("tab", "z")
        await expect_shown(user, "10–24", "×15")
        for step in range(25, 100):
            recording.steps(
                run, [row(run, step, decoded_prediction=f"{step // 2}", decoded_z="z", match=False)]
            )
        await expect_shown(user, "98–99", "×2")
        await user.press("home", "down", "down")
        await expect_shown(user, "10–24", PUBLISHED_TARGET[:20])
        table = table_of(user)
        assert table.place == 24
        recording.steps(run, [row(run, 100, lr=None, decoded_prediction="last", match=False)])
        await expect_shown(user, "1 new ↓")
        assert table.place == 24


async def test_no_word_of_a_long_text_is_hidden_by_the_scrollbar(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    long = "word " * 2000
    recording.steps(run, [row(run, 0, decoded_prediction=long, decoded_z=long, match=False)])
    async with opened(database) as user:
        await expect_shown(user, "word word")
        await user.press("tab", "enter")
        await expect_shown(user, "step 0 of 100")
        await expect(user, lambda: "reading" not in text(user))
        assert {word for line in lines(user)[2:-1] for word in re.findall(r"\w+", line)} == {"word"}


async def test_not_finite_is_seen_in_a_folded_table(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [*published_like_rows(run, 15), row(run, 15, loss=None), row(run, 16)])
    async with opened(database) as user:
        await expect_shown(user, "not finite")
        await user.press("tab", "z")
        await expect_shown(user, "10–14", "not finite")


def _steps(run: int, first: int, end: int) -> list[StepRecord]:
    return [row(run, step) for step in range(first, end)]
