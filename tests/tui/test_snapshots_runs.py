"""Pictures of the list of runs and of the charts; none depends on the time or on the day."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.records import Status
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import MEDIUM, expect_shown
from tests.tui.test_run_list import fork
from tui.themes import ANSI


@pytest.fixture
def tree(database: Path, recording: Recording) -> Path:
    """Two sessions, forks of forks, and every status; the newest run has two terms, changes and a gap."""
    first = recording.begin(name="published", session="Monday")
    recording.steps(first, published_like_rows(first, 60))
    recording.end(first, 59, Status.STOPPED)
    for step, status in ((10, Status.FINISHED), (30, Status.FAILED)):
        run = recording.begin(name=f"from {step}", session="Monday")
        recording.steps(
            run, [row(run, step, match=True, decoded_prediction="Lily."), row(run, step + 1, loss=None)]
        )
        recording.end(run, step + 1, status, "not finite" if status is Status.FAILED else None)
        fork(recording, run, first, step)
    deep = recording.begin(session="Monday")
    recording.steps(deep, [row(deep, 30)])
    recording.pause(deep, 31)
    fork(recording, deep, run, 30)
    newest = recording.begin(session="Tuesday", weights={"ce": 1, "cosine": 0.1}, steps=80)
    terms = [
        step._replace(terms={"ce": step.loss, "cosine": 0.9 / (step.step + 1)})
        for step in published_like_rows(newest, 61)
    ]
    recording.steps(newest, terms[:20])
    recording.set_lr(newest, 20, 0.01, 0.02)
    recording.steps(newest, [step._replace(lr=0.02) for step in terms[20:40]])
    recording.steps(newest, [terms[40]._replace(loss=None), *(step._replace(lr=0.02) for step in terms[41:])])
    return database


async def _shown(user: Pilot[object]) -> None:
    await expect_shown(user, "5 runs", "step 60 of 80")


@SIZES
def test_tree(snap_compare: Compare, tree: Path, size: tuple[int, int]) -> None:
    assert snap_compare(app_on(tree), terminal_size=size, run_before=_shown)


@SIZES
def test_ranking_with_a_filter(snap_compare: Compare, tree: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press("S", "slash", *"steps>50 loss<3")
        await expect_shown(user, "3 of 5 runs, by loss")

    assert snap_compare(app_on(tree), terminal_size=size, run_before=shown)


def test_wrong_filter(snap_compare: Compare, tree: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press("slash", *"loss<much")
        await expect_shown(user, "loss<much: a")

    assert snap_compare(app_on(tree), terminal_size=MEDIUM, run_before=shown)


def test_closed_session(snap_compare: Compare, tree: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press("end", "left", "left", "left", "left")
        await expect_shown(user, "▸ Monday")

    assert snap_compare(app_on(tree), terminal_size=MEDIUM, run_before=shown)


@pytest.mark.parametrize("presses", [1, 2, 3], ids=["terms", "sim", "lr"])
def test_strip(snap_compare: Compare, tree: Path, presses: int) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press(*["c"] * presses)
        await user.pause()

    assert snap_compare(app_on(tree), terminal_size=MEDIUM, run_before=shown)


@SIZES
def test_chart(snap_compare: Compare, tree: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press("C")
        await expect_shown(user, "loss, logarithmic, 61 rows", " 50 ", "esc close")

    assert snap_compare(app_on(tree), terminal_size=size, run_before=shown)


def test_chart_of_terms_zoomed_in_16_colours(snap_compare: Compare, tree: Path) -> None:
    app = app_on(tree)
    app.theme = ANSI.name

    async def shown(user: Pilot[object]) -> None:
        await _shown(user)
        await user.press("c", "C", "plus", "plus")
        await expect_shown(user, "terms, logarithmic, 61 rows", "cosine")

    assert snap_compare(app, terminal_size=MEDIUM, run_before=shown)
