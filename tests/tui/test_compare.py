"""Comparing runs on the screen: eight of them in a small terminal, live ones, and whatever they say."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.store.connection import connect
from engine.store.records import Status
from tests.tui.actions_compare import changed_words
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import SMALL, User, expect, expect_shown, lines, opened, text
from tui.screens.compare import CompareScreen, ComparisonSource, Seen, Wanted
from tui.settings import Settings

_HOSTILE = "[bold]no[/bold] \x1b[2J\x1b]0;owned\x07 \u202etxt\u200b 日本語 " + "x" * 3000


def run_of(recording: Recording, *, zs: Sequence[Sequence[float]] = (), **fields: object) -> int:
    """A finished run with as many rows as z's, or five without."""
    run = recording.begin(**fields)
    for at, figures in enumerate(published_like_rows(run, len(zs) or 5)):
        vectors = {"z": np.array(zs[at], np.float32)} if zs else {}
        recording._recorder.record_step(figures, vectors)
    recording.end(run, 4, Status.FINISHED)
    return run


async def compare_all(user: User, runs: int) -> None:
    """Mark all runs from the newest on and compare them."""
    await expect_shown(user, f"{runs} runs, newest first")
    for _ in range(runs):
        await user.press("x", "down")
    await user.press("X")
    await expect_shown(user, "compare: loss")


async def test_eight_runs_in_a_small_terminal(database: Path, recording: Recording) -> None:
    for number in range(8):
        run_of(recording, lr=0.01 * (number + 1), zs=np.eye(8)[[0, number]].tolist())
    async with opened(database, size=SMALL) as user:
        await compare_all(user, 8)
        await expect_shown(
            user, *(f"{letter} today/{8 - place} ■" for place, letter in enumerate("ABCDEFGH"))
        )
        assert all(len(line) <= 80 for line in lines(user))
        assert sum("┃" in line for line in lines(user)) > 6
        await user.press("2")
        await expect_shown(user, "A  0.08", "H  0.01")
        await user.press("3")
        await expect_shown(user, "A today/8 step 0", "B today/7 step 0")
        await user.press("end")
        await expect_shown(user, "H today/1 step 0")
        await user.press("4")
        # The z of run k ends along axis k; A is run 8 and H run 1, whose axis is the first.
        header = "                A      B      C      D      E      F      G      H"
        await expect_shown(user, header.strip(), "z of A  1.000  0.000  0.000", "0.000  0.000  1.000")
        await user.press("5")
        await expect_shown(user, "○", "●A", "●G")


async def test_what_rounds_to_zero_has_no_minus(database: Path, recording: Recording) -> None:
    """The last z's are all but at right angles, and zero is a tick of both axes of the plane."""
    run_of(recording, zs=[[0.0, 0.19], [-0.00004, -0.1]])
    run_of(recording, zs=[[-0.19, 0.0], [0.19, 0.0]])
    async with opened(database) as user:
        await compare_all(user, 2)
        await user.press("4")
        await expect_shown(user, "z of A  1.000  0.000", "z of B  0.000  1.000")
        await user.press("5")
        await expect_shown(user, "●A", "-0.20", "0.00")
        assert "-0.0 " not in text(user)
        assert "-0.00" not in text(user)


async def test_a_ninth_run_cannot_be_marked(database: Path, recording: Recording) -> None:
    for _ in range(9):
        recording.queue()
    async with opened(database) as user:
        await expect_shown(user, "9 runs, newest first")
        for _ in range(9):
            await user.press("x", "down")
        await expect_shown(user, "8 runs are marked; more cannot be", "8 marked, 9 runs")


async def test_a_deleted_run_loses_its_mark(database: Path, recording: Recording) -> None:
    for _ in range(3):
        recording.queue()
    async with opened(database) as user:
        await expect_shown(user, "3 runs, newest first")
        await user.press("x", "down", "x")
        await expect_shown(user, "2 marked, 3 runs", "B○ 2")
        connection = connect(database)
        connection.execute("UPDATE run SET deleted = 1.0 WHERE id = 3")
        connection.close()
        await expect_shown(user, "1 marked, 2 runs", "A○ 2")


async def test_marks_stay_with_runs_that_the_filter_hides(database: Path, recording: Recording) -> None:
    recording.queue(name="cat")
    recording.queue(name="dog")
    async with opened(database) as user:
        await expect_shown(user, "2 runs, newest first")
        await user.press("x", "slash", *"cat", "enter", "x")
        await expect_shown(user, "2 marked, 1 of 2 runs")
        await user.press("X")
        await expect_shown(
            user, "compare: loss", "A today/2 dog", "B today/1 cat", "A has no rows; B has no rows"
        )


async def test_live_runs_move_on_in_every_part(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    run_of(recording, zs=[(1, 0, 0), (0, 1, 0)])
    live = recording.begin()
    recording._recorder.record_step(row(live, 0, loss=8.0), {"z": np.array((1, 0, 0), np.float32)})
    async with opened(database, control) as user:
        await compare_all(user, 2)
        await expect_shown(user, "A today/2 ● 8.0000")
        recording._recorder.record_step(
            row(live, 1, loss=0.5, decoded_prediction="Now it says this.", match=False),
            {"z": np.array((3, 4, 0), np.float32)},
        )
        await expect_shown(user, "A today/2 ● 0.5000 ·")
        await user.press("3")
        await expect_shown(user, "Now it says this.")
        await user.press("4")
        await expect_shown(user, "A step 1  B step 1", "z of A  1.000  0.800")
        recording._recorder.record_step(row(live, 2), {"z": np.array((0, -2, 0), np.float32)})
        await expect_shown(user, "A step 2  B step 1", "z of A  1.000 -1.000")
        recording.end(live, 2, Status.FINISHED)
        await expect_shown(user, "A today/2 ■")


async def test_nothing_is_drawn_again_while_nothing_changes(
    database: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(recording)
    run_of(recording)
    async with opened(database) as user:
        await compare_all(user, 2)
        shown: list[Seen] = []
        looks: list[Wanted] = []
        look = ComparisonSource.look

        def counted(source: ComparisonSource, wanted: Wanted) -> Seen:
            looks.append(wanted)
            return look(source, wanted)

        monkeypatch.setattr(CompareScreen, "_show", lambda screen, seen: shown.append(seen))
        monkeypatch.setattr(ComparisonSource, "look", counted)
        await expect(user, lambda: len(looks) > 2)
        assert shown == []


async def test_published_runs_are_compared_but_for_their_vectors(
    database: Path, recording: Recording
) -> None:
    published = recording.begin(weights={"cosine": 1})
    figures = {"grad_norm": None, "z_norm": None, "lr": None, "elapsed_ms": None}
    for step in (0, 10, 20):
        said = {"decoded_prediction": "I eat cheese.", "match": False}
        recording.steps(published, [row(published, step, **figures, **said)])
    recording.set_origin(published, "published")
    run_of(recording, zs=[(1, 0), (0, 1)])
    async with opened(database) as user:
        await compare_all(user, 2)
        await user.press("a")
        await expect_shown(user, "by seconds", "B has no times recorded")
        await user.press("a")
        await expect_shown(user, "from the first match", "A has no match; B has no match")
        await user.press("3")
        await expect_shown(user, "B today/1 step 20", "I eat cheese.")
        await user.press("4")
        await expect_shown(user, "z of A  1.000      –", "B without vectors")
        await user.press("5")
        await expect_shown(user, "x has 100.0 % of the variance", "B without vectors")


async def test_vectors_of_other_dimensions_are_said_to_have_no_cosine(
    database: Path, recording: Recording
) -> None:
    run_of(recording, zs=[(1, 0, 0), (0, 1, 0)])
    run_of(recording, zs=[(1, 0), (0, 1)])
    async with opened(database) as user:
        await compare_all(user, 2)
        await user.press("4")
        await expect_shown(user, "vectors of several dimensions have no cosine: A: 2 numbers; B: 3 numbers")
        await user.press("5")
        await expect_shown(user, "B with vectors of another dimension")


async def test_texts_of_models_and_names_are_shown_harmlessly(database: Path, recording: Recording) -> None:
    hostile = recording.begin(name=_HOSTILE[:200], session=_HOSTILE[:60])
    recording.steps(hostile, [row(hostile, 0, decoded_prediction=_HOSTILE, match=False)])
    run_of(recording)
    async with opened(database, size=SMALL) as user:
        await compare_all(user, 2)
        for part in "12345":
            await user.press(part)
            await expect_shown(user, f"[{part} ")
            await user.pause()
            shown = text(user)
            assert all(letter.isprintable() or letter == "\n" for letter in shown)
            assert "\u202e" not in shown
        await user.press("3")
        await expect_shown(user, "[bold]no[/bold] ␛[2J")
        assert changed_words(user)


async def test_it_is_drawn_in_ascii_where_that_is_asked_for(database: Path, recording: Recording) -> None:
    run_of(recording, zs=[(1, 0, 0), (0, 1, 0), (0, 2, 2)])
    run_of(recording, zs=[(3, 0, 0), (0, 5, 1)])
    async with opened(database, settings=Settings(ascii=True)) as user:
        await expect_shown(user, "2 runs, newest first")
        await user.press("x", "down", "x", "X")
        for part, shown in (("1", "A-"), ("2", "fields differ (!)"), ("4", "z of A"), ("5", "*A")):
            await user.press(part)
            await expect_shown(user, shown)
            await user.pause()
            assert text(user).isascii(), sorted({letter for letter in text(user) if not letter.isascii()})


async def test_a_database_that_goes_away_is_said_and_the_comparison_stays(
    database: Path, recording: Recording, tmp_path: Path
) -> None:
    run_of(recording)
    run_of(recording)
    async with opened(database) as user:
        await compare_all(user, 2)
        kept = shutil.move(database, tmp_path / "elsewhere.db")
        await expect_shown(user, "compare: database:", "A today/2")
        shutil.move(kept, database)
        await expect_shown(user, "compare: loss")
