"""What the actions on the z of a row do, as a user sees it: copying, forking, neighbours, interpolation."""

import json
import re

import numpy as np
from textual.widgets import Input

from engine.spec import PUBLISHED_TARGET, RunSpec, parse_spec
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.vectors import VectorArray, pack
from engine.vector_path import Point, result_of
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import User, expect, expect_shown, form_of, lines, table_of, text
from tui.actions import Place
from tui.widgets.line_table import LineTable

D = 384
"""The dimension of the bundle mini."""


def a_vector(seed: int) -> VectorArray:
    """A direction like no other's."""
    return np.random.default_rng(seed).standard_normal(D).astype(np.float32)


def keep(recording: Recording, run: int, step: int, vector: VectorArray, kind: str = "z") -> None:
    """Store a vector, as the worker does with its row."""
    connection = connect(recording.path)
    connection.execute(
        "INSERT OR REPLACE INTO vector (run, step, kind, dimension, data) VALUES (?, ?, ?, ?, ?)",
        (run, step, kind, len(vector), pack(vector)),
    )
    connection.close()


def keep_state(recording: Recording, run: int, step: int) -> None:
    """Store a checkpoint."""
    connection = connect(recording.path)
    connection.execute(
        "INSERT INTO checkpoint (run, step, created, data) VALUES (?, ?, 0, ?)", (run, step, b"state")
    )
    connection.close()


async def go_to_row(user: User, step: int) -> None:
    """Put the cursor on a row of the newest run, whose rows go from 0 to 24."""
    await user.press("tab", "home")
    table = table_of(user)
    table.go_to_step(step)
    await expect(user, lambda: table.place == step)


@behaviour(Place.COPY, "copy_numbers")
async def _z_is_copied_as_a_list_of_numbers(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    z = a_vector(1)
    keep(recording, 3, 10, z)
    await go_to_row(user, 10)
    await user.press("enter", "c")
    await expect_shown(user, "copy from step 10", "z as numbers")
    await user.press("v")
    await expect(user, lambda: "copy from step" not in text(user))
    numbers = json.loads(user.app.clipboard)
    assert np.array_equal(np.array(numbers, np.float32), z)
    await user.press("right", "c", "v")
    await expect_shown(user, "The z of step 11 was not kept")


@behaviour(Place.EXPLORER, "fork")
async def _shift_f_opens_a_form_that_says_what_it_starts_from_and_queues_a_fork(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    keep(recording, 3, 10, a_vector(1))
    keep_state(recording, 3, 10)
    await go_to_row(user, 11)
    await user.press("F")
    await expect_shown(user, "step: 11: run 3 has no z stored")
    table_of(user).go_to_step(10)
    await user.press("F")
    await expect_shown(
        user, "Fork of today/3", "from run 3 step 10, with the optimiser's state", "‹ vector ›"
    )
    await _type(user, "steps", "10")
    await expect_shown(user, "10: the fork goes on from step 10; more are needed")
    await user.press("enter")
    await expect_shown(user, "1 field to mend first")
    form_of(user).set_values({"steps": "50", "lr": "0.5", "name": "heir"})
    await user.press("enter")
    await expect(user, lambda: control.forked)
    spec = parse_spec(init={"kind": "vector", "run": 3, "step": 10}, steps=50, lr=0.5)
    assert control.forked == [(3, 10, spec, "today", "heir")]
    await expect_shown(user, "today/4", "○ queued", "└ ", "@10")


@behaviour(Place.ROW, "fork")
async def _f_forks_an_opened_row_from_z_alone_and_the_form_follows_its_fields(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    keep(recording, 3, 10, a_vector(1))
    keep(recording, 3, 25, a_vector(2))
    keep_state(recording, 3, 25)
    recording.steps(3, [row(3, 25)])
    await go_to_row(user, 10)
    await user.press("enter")
    await expect_shown(user, "step 10 of 100", "f fork")
    await user.press("f")
    await expect_shown(user, "from run 3 step 10, z only: no checkpoint there; that of step 25 is kept")
    await _type(user, "init_step", "25")
    await expect_shown(user, "from run 3 step 25, with the optimiser's state")
    await _type(user, "norm", "free")
    await expect_shown(user, "from run 3 step 25, z only: the norm is held otherwise")
    form_of(user).go_to("init_kind")
    await user.press("t")
    await expect_shown(user, "a run of its own then, and no fork")
    await user.press("v")
    await _type(user, "init_step", "10")
    await _type(user, "norm", "initial")
    await user.press("enter")
    await expect(user, lambda: control.forked)
    spec = RunSpec(init=parse_spec(init={"kind": "vector", "run": 3, "step": 10}).init)
    assert control.forked == [(3, 10, spec, "today", None)]
    await expect_shown(user, "today/4", "○ queued", "forked from run 3 step 10, z only")


@behaviour(Place.ROW, "nearest")
@behaviour(Place.NEAREST, "open_row", "toggle_all")
async def _n_lists_the_nearest_vectors_and_enter_goes_to_the_row_of_one(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    z = a_vector(1)
    keep(recording, 3, 20, z)
    keep(recording, 1, 30, z + 0.1 * a_vector(2))
    keep(recording, 1, 40, z + 0.2 * a_vector(3), "prediction")
    keep(recording, 2, 5, z + 2 * a_vector(4))
    await go_to_row(user, 20)
    await user.press("enter", "n")
    await expect_shown(user, "near z of today/3, step 20: the nearest of each run", "cosine")
    assert _listed(user) == [("today/1", 30, "z"), ("today/2", 5, "z")]
    near = z + 0.1 * a_vector(2)
    cosine = f"{z @ near / np.linalg.norm(z) / np.linalg.norm(near):.4f}"
    assert any(cosine in line and "(Yes) One lot is ready." in line for line in lines(user))
    assert any("today/2" in line and '(step 0) "Yeah" is "Yeah"' in line for line in lines(user))
    await user.press("a")
    await expect_shown(user, "the nearest 200 at most")
    assert _listed(user) == [("today/1", 30, "z"), ("today/1", 40, "prediction"), ("today/2", 5, "z")]
    await user.press("down", "enter")
    await expect_shown(user, "run 1  today/1")
    await expect(user, lambda: table_of(user).place == 40)
    assert table_of(user).has_focus


@behaviour(Place.VECTORS, "line_up", "line_down", "page_up", "page_down", "first_line", "last_line", "close")
async def _a_list_of_vectors_is_moved_through(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    for step in range(101):
        keep(recording, 1, step, a_vector(step))
    keep(recording, 3, 20, a_vector(0))
    await go_to_row(user, 20)
    await user.press("enter", "n")
    await expect_shown(user, "near z of today/3")
    await user.press("a")
    await expect(user, lambda: len(_listed(user)) > 30)
    table = user.app.screen.query_one(LineTable)
    for key, cursor in (
        ("down", 1),
        ("j", 2),
        ("up", 1),
        ("end", 100),
        ("k", 99),
        ("home", 0),
        ("pagedown", table.size.height - 2),
        ("pageup", 0),
    ):
        await user.press(key)
        assert table.cursor == cursor, key
    await user.press("escape")
    await expect_shown(user, "step 20 of 100")


@behaviour(Place.ROW, "interpolate")
async def _i_asks_for_another_row_and_lists_the_points_between(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    keep(recording, 3, 10, a_vector(1))
    keep(recording, 1, 30, a_vector(2))
    await go_to_row(user, 10)
    await user.press("enter", "i")
    await expect_shown(user, "points between two z's", "3:0", "linear or spherical")
    to = user.app.screen.query_one("#to", Input)
    to.value = "1:x"
    await expect_shown(user, "to: '1:x': should be RUN:STEP")
    to.value = "1:31"
    await user.press("enter")
    await expect_shown(user, "from 3:10 to 1:31: to: run 1 has no z stored for step 31")
    await user.press("escape", "i")
    await expect_shown(user, "points between two z's")
    user.app.screen.query_one("#to", Input).value = "1:30"
    user.app.screen.query_one("#points", Input).value = "2"
    await user.press("enter")
    await expect_shown(user, "from 3:10 to 1:30: waits for the worker")
    with Reader(recording.path) as reader:
        (task,) = reader.tasks()
    assert (task.kind, task.run, task.device) == ("interpolate", 3, "cpu")
    assert task.arguments == {"from": [3, 10], "to": [1, 30], "points": 2, "path": "linear"}
    ends = (("The cat sat.", False), (PUBLISHED_TARGET, True))
    points = [
        Point(float(t), 1.0, 1.0 - t, float(t), 0.5, 0.25, match, "A z.", text)
        for t, (text, match) in enumerate(ends)
    ]
    connection = connect(recording.path)
    connection.execute("UPDATE task SET status = 'done', result = ?", (json.dumps(result_of(points)),))
    connection.close()
    await expect_shown(user, "2 points, linear", "cos from", "The cat sat.", "A z.")
    shown = next(line for line in lines(user) if "0.000" in line)
    assert shown.split()[:6] == ["0.000", "0.500", "0.250", "1.000", "0.000", "1.000"]
    await user.press("down")
    await expect(user, lambda: text(user).count(PUBLISHED_TARGET) == 2)
    await user.press("escape")
    await expect_shown(user, "step 10 of 100")
    with Reader(recording.path) as reader:
        assert [task.status for task in reader.tasks()] == ["done"]
    await user.press("i")
    await expect_shown(user, "points between two z's")
    user.app.screen.query_one("#to", Input).value = "1:30"
    await user.press("enter")
    await expect_shown(user, "waits for the worker")
    await user.press("escape")
    with Reader(recording.path) as reader:
        await expect(user, lambda: reader.tasks()[-1].status == "cancelled")


def _listed(user: User) -> list[tuple[str, int, str]]:
    """Run, step and kind of each line."""
    found = (re.match(r"\s+-?\d\.\d{4}\s+(\S+)\s+(\d+)\s+(\w+)", line) for line in lines(user))
    return [(match[1], int(match[2]), match[3]) for match in found if match]


async def _type(user: User, field: str, value: str) -> None:
    form_of(user).go_to(field)
    await user.press("end", *["backspace"] * len(form_of(user).values[field]), *value)
    await expect(user, lambda: form_of(user).values[field] == value)
