"""The points between two z's where there is little room for their texts."""

import json
from pathlib import Path

import pytest

from engine.store.connection import connect
from engine.vector_path import Point, result_of
from tests.tui.actions_vectors import a_vector, go_to_row, keep
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, User, expect, expect_said, expect_shown, lines, opened, text
from tui.widgets.line_table import LineTable

LONG = " ".join(f"word{number}" for number in range(400))


async def interpolate(user: User, recording: Recording, *texts: tuple[str, str]) -> None:
    """Open the list of points with these predictions and texts of z."""
    await expect_shown(user, "step 11 of 100")
    await go_to_row(user, 10)
    await user.press("enter", "i")
    await expect_shown(user, "points between two z's")
    await user.press("enter")
    await expect_shown(user, "waits for the worker")
    points = [
        Point(0.5, 1.0, 0.5, 0.5, 1.0, 0.25, False, decoded_z, prediction) for prediction, decoded_z in texts
    ]
    connection = connect(recording.path)
    connection.execute("UPDATE task SET status = 'done', result = ?", (json.dumps(result_of(points)),))
    connection.close()
    await expect_shown(user, f"{len(texts)} points, linear")


def detail(user: User) -> tuple[list[str], list[str]]:
    """Lines of the prediction and of z's text under the list."""
    shown = [line.strip() for line in lines(user)]
    first, second = shown.index("prediction"), shown.index("z")
    return shown[first + 1 : second], shown[second + 1 : -1]


@pytest.mark.parametrize("size", [SMALL, (80, 16)])
async def test_both_texts_of_a_point_are_in_sight_however_long_they_are(
    database: Path, control: RecordingControl, recording: Recording, size: tuple[int, int]
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 12))
    for step in (0, 10):
        keep(recording, run, step, a_vector(step))
    texts = [(LONG, "A z."), (LONG, LONG), ("Short.", LONG), ("Short.", "A z.")]
    async with opened(database, control, size=size) as user:
        await interpolate(user, recording, *texts)
        await expect_shown(user, "A z.")
        prediction, z = detail(user)
        assert prediction[0].startswith("word0 word1 ")
        assert prediction[-1].endswith("…")
        assert z[0] == "A z."
        await user.press("down")
        await expect(user, lambda: detail(user)[1][0].startswith("word0 "))
        prediction, z = detail(user)
        assert abs(len(prediction) - len(list(filter(None, z)))) <= 1
        assert prediction[-1].endswith("…")
        await user.press("down")
        await expect(user, lambda: detail(user)[0] == ["Short."])
        await user.press("down")
        await expect(user, lambda: detail(user)[1][0] == "A z.")
        assert "…" not in "".join(map("".join, detail(user)))
        assert user.app.screen.query_one(LineTable).cursor == 3


async def test_a_larger_terminal_shows_more_of_the_texts(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 12))
    for step in (0, 10):
        keep(recording, run, step, a_vector(step))
    async with opened(database, control, size=SMALL) as user:
        await interpolate(user, recording, (LONG, "A z."), ("The end.", "A z."))
        await expect_shown(user, "A z.")
        assert "word399" not in text(user)
        await user.resize_terminal(160, 70)
        await expect_said(user, LONG)
