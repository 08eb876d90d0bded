"""The order of rows and events, however they arrive, and where jumps lead."""

import random
from itertools import pairwise

import pytest

from engine.store.records import EventRecord, StepRecord
from tests.tui.recording import row
from tui.trajectory import Row, RowWindow, Trajectory


def _event(number: int, step: int | None, kind: str = "lr") -> EventRecord:
    return EventRecord(number, 1, step, 0.0, kind, "", "")


EVENTS = [_event(1, None, "created"), _event(2, 0, "started"), _event(3, 40), _event(4, 90, "failed")]
STEPS = [row(1, step, loss=float(step % 13)) for step in range(100)]


def _rows(trajectory: Trajectory) -> list[Row | None]:
    return [trajectory.row(index) for index in range(len(trajectory))]


def _names(trajectory: Trajectory) -> list[str]:
    rows = [row for row in _rows(trajectory) if row is not None]
    return [str(row.step) if isinstance(row, StepRecord) else row.kind for row in rows]


def _in_order() -> Trajectory:
    trajectory = Trajectory()
    trajectory.extend(STEPS, EVENTS)
    return trajectory


def test_events_stand_before_the_step_they_affect_and_an_end_after_its_step() -> None:
    names = _names(_in_order())
    assert names[0] == "started"
    assert names[names.index("lr") + 1] == "40"
    assert names[names.index("failed") - 1] == "90"
    assert "created" not in names


@pytest.mark.parametrize("seed", range(10))
def test_older_steps_in_front_make_the_same_trajectory_as_reading_in_order(seed: int) -> None:
    chance = random.Random(seed)
    trajectory = Trajectory()
    trajectory.extend(STEPS[80:], EVENTS)
    cuts = [0, *sorted(chance.sample(range(1, 80), 4)), 80]
    chunks = [STEPS[first:end] for first, end in pairwise(cuts)]
    chance.shuffle(chunks)
    for chunk in chunks:
        grown = _rows(trajectory)
        indexes = trajectory.extend(chunk, [], is_before=True)
        for index, step in zip(indexes, chunk, strict=True):
            grown.insert(index, step)
        assert grown == _rows(trajectory)
    whole = _in_order()
    assert _rows(trajectory) == _rows(whole)
    assert trajectory.newest == whole.newest == STEPS[-1]
    assert [trajectory.index_of(step) for step in range(100)] == [whole.index_of(step) for step in range(100)]


def test_jumps() -> None:
    texts = {0: "a", 10: "a", 20: "b", 30: "b", 40: "c", 50: "target", 60: "c"}
    trajectory = Trajectory()
    steps = [
        row(1, step, decoded_prediction=texts.get(step), match=texts.get(step) == "target")
        for step in range(70)
    ]
    trajectory.extend(steps, [_event(1, 0, "started"), _event(2, 45)])

    def step_of(index: int | None) -> int | None:
        return None if index is None else trajectory.step_at(index)

    def at(step: int) -> int:
        index = trajectory.index_of(step)
        assert index is not None
        return index

    assert [step_of(trajectory.next_change(at(step))) for step in (0, 15, 20, 44, 55, 60, 69)] == [
        20,
        20,
        40,
        50,
        60,
        None,
        None,
    ]
    assert [step_of(trajectory.previous_change(at(step))) for step in (69, 60, 45, 20, 19)] == [
        60,
        50,
        40,
        None,
        None,
    ]
    assert step_of(trajectory.first_match()) == 50
    assert trajectory.next_event(at(10)) == at(45) - 1
    assert trajectory.next_event(at(45)) is None
    assert trajectory.next_event(at(45) - 1, forward=False) == 0
    assert trajectory.next_event(0, forward=False) is None


def test_an_empty_trajectory_leads_nowhere() -> None:
    trajectory = Trajectory()
    assert trajectory.next_change(0) is None
    assert trajectory.previous_change(0) is None
    assert trajectory.first_match() is None
    assert trajectory.next_event(0) is None
    assert trajectory.nearest_step(0) is None
    assert trajectory.index_of(0) is None


def test_an_event_leads_to_the_step_it_affects_or_the_last_one() -> None:
    trajectory = _in_order()
    for index, record in enumerate(_rows(trajectory)):
        assert record is not None
        expected = {"started": 0, "lr": 40, "failed": 91}
        step = record.step if isinstance(record, StepRecord) else expected[record.kind]
        assert trajectory.nearest_step(index) == step


def test_only_so_many_rows_are_held_and_the_others_can_be_had_again() -> None:
    trajectory = Trajectory(RowWindow(most=50))
    for step in range(0, 1000, 10):
        trajectory.extend([row(1, step + one) for one in range(10)], [])
    trajectory.extend([], [_event(1, 500)])
    assert len(trajectory.window) == 50
    assert [step for step in _names(trajectory) if step != "lr"] == [str(step) for step in range(950, 1000)]
    here = trajectory.index_of(500)
    assert here == 501
    wanted = trajectory.ask(here, around=20)
    assert wanted == range(480, 521)
    assert trajectory.ask(here, around=20) is None
    assert trajectory.ask(here + 20, around=5) == range(521, 526)
    trajectory.supply([row(1, step) for step in wanted])
    assert len(trajectory.window) == 50
    assert [trajectory.row(index) for index in range(480, 522)] == [
        *(row(1, step) for step in range(480, 500)),
        _event(1, 500),
        *(row(1, step) for step in range(500, 521)),
    ]
    assert trajectory.row(trajectory.index_at(999)) == row(1, 999)
    assert trajectory.row(0) is None


def test_what_is_looked_at_stays_while_rows_come() -> None:
    trajectory = Trajectory(RowWindow(most=50))
    trajectory.extend([row(1, step) for step in range(40)], [])
    for step in range(40, 400):
        trajectory.extend([row(1, step)], [])
        assert trajectory.row(7) == row(1, 7)
    assert trajectory.row(8) is None


def test_older_rows_are_held_as_far_as_there_is_room() -> None:
    trajectory = Trajectory(RowWindow(most=50))
    trajectory.extend([row(1, step) for step in range(80, 100)], [])
    trajectory.extend([row(1, step) for step in range(80)], [], is_before=True)
    assert _names(trajectory) == [str(step) for step in range(50, 100)]
