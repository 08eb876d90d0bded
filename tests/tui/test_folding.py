"""Which rows stand on one line when the table is folded, against lines written out by hand."""

import random
import time
from collections.abc import Iterator

from engine.store.records import EventRecord, StepRecord
from tests.tui.recording import row
from tui.folding import Folding, Unfolded
from tui.trajectory import Row, Trajectory


class Rows(list[Row]):
    """Rows that can be folded wherever new ones come in between."""

    def folded_by(self, first: int) -> Iterator[tuple[bool, int]]:
        for each in self[first:]:
            is_step = isinstance(each, StepRecord)
            text = each.decoded_prediction if isinstance(each, StepRecord) else None
            yield is_step and each.loss is not None, 0 if text is None else hash(text)  # type: ignore[union-attr]


def _rows(*texts: str | None) -> Rows:
    """One row for each text: None is not decoded, `!` is an event, `nan` a step that is not finite."""
    return Rows(
        EventRecord(step, 1, step, 0.0, "lr", "", "")
        if text == "!"
        else row(1, step, loss=None)
        if text == "nan"
        else row(1, step, decoded_prediction=text)
        for step, text in enumerate(texts)
    )


def _lines(folding: Folding) -> list[tuple[int, int]]:
    """First and last row of each line."""
    return [(folding.span(line)[0], folding.span(line)[-1]) for line in range(len(folding))]


def test_the_same_prediction_is_one_line_with_what_was_not_decoded_in_between() -> None:
    folding = Folding(_rows("a", None, None, "a", None, "b", "b", None, "a"))
    assert _lines(folding) == [(0, 4), (5, 7), (8, 8)]
    assert [folding.decoded_on(line) for line in range(3)] == [3, 6, 8]


def test_rows_before_the_first_decode_join_it() -> None:
    assert _lines(Folding(_rows(None, None, "a", "a"))) == [(0, 3)]


def test_an_event_is_a_line_of_its_own_and_divides() -> None:
    folding = Folding(_rows("a", "a", "!", "!", None, "a", "a"))
    assert _lines(folding) == [(0, 1), (2, 2), (3, 3), (4, 6)]
    assert [folding.decoded_on(line) for line in range(4)] == [1, None, None, 6]


def test_a_step_that_is_not_finite_is_never_folded_away() -> None:
    assert _lines(Folding(_rows("a", "a", "nan", "nan", "a"))) == [(0, 1), (2, 2), (3, 3), (4, 4)]


def test_every_row_knows_its_line() -> None:
    folding = Folding(_rows("a", None, "b", "!", "b"))
    assert [folding.line_of(index) for index in range(5)] == [0, 0, 1, 2, 3]


def test_unfolded_every_row_has_a_line_of_its_own() -> None:
    trajectory = Trajectory()
    unfolded = Unfolded(trajectory)
    trajectory.extend([row(1, step, decoded_prediction="a" if step == 1 else None) for step in range(3)], [])
    assert len(unfolded) == 3
    assert [list(unfolded.span(line)) for line in range(3)] == [[0], [1], [2]]
    assert [unfolded.line_of(index) for index in range(3)] == [0, 1, 2]
    assert [unfolded.decoded_on(line) for line in range(3)] == [None, 1, None]


def test_nothing_folds_to_nothing() -> None:
    assert len(Folding(Rows())) == 0


def test_rows_that_come_one_by_one_anywhere_fold_as_if_they_had_been_there() -> None:
    rows = _rows(*("a a - - a b ! b - nan - c c c ! ! - - d - d a a".replace("-", " ").split(" ")))
    rows = Rows(row._replace(decoded_prediction=None) if _is_blank(row) else row for row in rows)  # type: ignore[union-attr]
    chance = random.Random(0)
    for _ in range(50):
        order = list(range(len(rows)))
        chance.shuffle(order)
        there = Rows()
        placed: list[int] = []
        folding = Folding(there)
        for number in order:
            index = sum(other < number for other in placed)
            placed.insert(index, number)
            there.insert(index, rows[number])
            folding.update(index)
            assert _lines(folding) == _lines(Folding(there))


def _is_blank(row: Row) -> bool:
    return not isinstance(row, EventRecord) and row.decoded_prediction == ""


def test_a_row_at_the_end_costs_the_same_however_long_its_line_is() -> None:
    rows = Rows([*_rows("a"), *(row(1, step) for step in range(1, 50_000))])
    folding = Folding(rows)
    start = time.process_time()
    for step in range(50_000, 50_200):
        rows.append(row(1, step))
        folding.update(step)
    assert (time.process_time() - start) / 200 < 0.001
    assert _lines(folding) == [(0, 50_199)]


def test_a_trajectory_and_its_folding_grow_together() -> None:
    trajectory = Trajectory()
    trajectory.extend([row(1, step, decoded_prediction="a") for step in range(3)], [])
    folding = Folding(trajectory)
    for step in range(3, 40):
        folding.update(min(trajectory.extend([row(1, step)], [])))
    assert _lines(folding) == [(0, 39)]
