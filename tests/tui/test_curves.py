"""The numbers of a trajectory as curves, and how the strip draws them."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from engine.objective import TERMS
from engine.store.records import EventRecord
from tests.tui.recording import row
from tui.curves import CHARTS, FIGURES, MAX_BUCKETS, Chart, Curves, chart_named
from tui.widgets.chart_strip import scaled, strip_lines


def curves(losses: Iterable[float | None], **values: object) -> Curves:
    made = Curves()
    made.extend([row(1, step, loss=loss, **values) for step, loss in enumerate(losses)])
    return made


def event(step: int | None, kind: str, detail: str = "") -> EventRecord:
    return EventRecord(1, 1, step, 0.0, kind, detail, "")


def drawn(
    made: Curves, chart: Chart = Chart.LOSS, steps: int = 0, width: int = 51, height: int = 4
) -> list[str]:
    return ["".join(text for text, _ in line) for line in strip_lines(made, chart, steps, width, height)]


def scales(made: Curves, chart: Chart = Chart.LOSS, *, is_log: bool | None = None) -> list[str]:
    return [line[0][0].strip() for line in strip_lines(made, chart, 0, 40, 5, is_log=is_log)]


def test_every_number_has_its_curve() -> None:
    made = Curves()
    values = {
        "similarity": 0.25,
        "lr": 0.5,
        "grad_norm": 3.0,
        "z_norm": 0.2,
        "terms": {"ce": 1.5, "mse": 7.0},
    }
    made.extend([row(1, 0, loss=2.0, **values), row(1, 1, loss=1.0, **values)])
    assert {chart: made.ranges(chart) for chart in FIGURES} == {
        Chart.LOSS: {"loss": [(2.0, 2.0), (1.0, 1.0)]},
        Chart.TERMS: {"ce": [(1.5, 1.5)] * 2, "mse": [(7.0, 7.0)] * 2},
        Chart.SIMILARITY: {"sim": [(0.25, 0.25)] * 2},
        Chart.LR: {"lr": [(0.5, 0.5)] * 2},
        Chart.GRAD_NORM: {"|grad|": [(3.0, 3.0)] * 2},
        Chart.Z_NORM: {"|z|": [(0.2, 0.2)] * 2},
    }


@pytest.mark.parametrize("chunk", [7, 2000, 50_000])
def test_the_curve_of_a_long_run_keeps_its_extremes_in_bounded_room(chunk: int) -> None:
    losses = [1.0] * 50_000
    losses[31_415], losses[100] = -9.0, 5.0
    rows = [row(1, step, loss=loss) for step, loss in enumerate(losses)]
    made = Curves()
    for start in range(0, len(rows), chunk):
        made.extend(rows[start : start + chunk])
    ranges = made.ranges(Chart.LOSS)["loss"]
    size = made.steps_per_bucket
    assert len(ranges) <= MAX_BUCKETS
    assert len(ranges) == 49_999 // size + 1
    for place, bucket in enumerate(ranges):
        inside = losses[place * size : (place + 1) * size]
        assert bucket == (min(inside), max(inside))


def test_older_rows_may_come_after_newer_ones() -> None:
    rows = [row(1, step) for step in range(3000)]
    in_order, newest_first = Curves(), Curves()
    in_order.extend(rows)
    for start in (2500, 0, 900, 1800):
        newest_first.extend(rows[start : {2500: 3000, 0: 900, 900: 1800, 1800: 2500}[start]])
    for chart in CHARTS:
        assert newest_first.ranges(chart) == in_order.ranges(chart)
    assert newest_first.last_step == 2999


def test_over_steps_without_a_row_the_curve_goes_straight_on() -> None:
    made = Curves()
    made.extend([row(1, 0, loss=4.0), row(1, 4, loss=2.0), row(1, 5, loss=None), row(1, 7, loss=1.0)])
    known = [(4.0, 4.0), (3.5, 3.5), (3.0, 3.0), (2.5, 2.5), (2.0, 2.0)]
    assert made.ranges(Chart.LOSS)["loss"] == [*known, None, None, (1.0, 1.0)]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_value_that_is_not_finite_leaves_a_gap_at_any_length(value: float | None) -> None:
    losses: list[float | None] = [1.0, 2.0, value, 3.0]
    assert curves(losses).ranges(Chart.LOSS)["loss"] == [(1.0, 1.0), (2.0, 2.0), None, (3.0, 3.0)]
    losses += [0.0] * 5000
    ranges = curves(losses).ranges(Chart.LOSS)["loss"]
    assert ranges[0] is None
    assert None not in ranges[1:]


def test_the_last_row_of_a_run_has_no_learning_rate_and_that_is_no_gap() -> None:
    made = Curves()
    made.extend([*(row(1, step) for step in range(2001)), row(1, 2001, lr=None)])
    assert set(made.ranges(Chart.LR)["lr"]) == {(0.01, 0.01)}


def test_a_term_that_came_later_has_a_gap_before() -> None:
    made = Curves()
    made.extend([row(1, 0, terms={"ce": 1.0})])
    made.extend([row(1, 1, terms={"ce": 1.0, "cosine": 0.5})])
    assert made.ranges(Chart.TERMS) == {"ce": [(1.0, 1.0)] * 2, "cosine": [None, (0.5, 0.5)]}
    made.extend([row(1, 2, terms={"ce": 2.0})])
    assert made.ranges(Chart.TERMS)["cosine"] == [None, (0.5, 0.5), None]


def test_what_the_user_changed_is_marked() -> None:
    made = Curves()
    made.mark(
        [
            event(0, "started"),
            event(3, "lr", "0.01 → 0.02"),
            event(4, "break-point", "set: match"),
            event(5, "break-point", "met: match"),
            event(6, "paused"),
            event(7, "weight", "cosine 0 → 0.1"),
            event(8, "extended", "100 → 150"),
            event(9, "finished"),
            event(None, "resumed"),
        ]
    )
    assert made.marks == {3, 5, 6, 7, 8}


def test_the_strip_names_its_edges_and_its_scale() -> None:
    made = curves((4.0, 2.0, 1.0))
    assert scales(made) == ["4.0000", "", "loss", "", "1.0000"]
    assert scales(made, is_log=True) == ["4.0000", "", "log loss", "", "1.0000"]
    made = curves((4.0, 2.0, 1.0, 0.01))
    assert scales(made) == ["4.0000", "", "log loss", "", "0.0100"]
    assert scales(made, is_log=False) == ["4.0000", "", "loss", "", "0.0100"]
    assert scales(made, Chart.LR)[2] == "lr"
    assert scales(made, Chart.Z_NORM) == ["0.207", "", "|z|", "", "0.207"]


def test_a_logarithm_leaves_out_what_has_none() -> None:
    ranges, is_log = scaled([(1.0, 10.0), (-1.0, 5.0), (-2.0, -1.0), None], True)
    assert is_log
    assert ranges == [(0.0, math.log(10)), (0.0, math.log(5)), None, None]
    assert scaled([(-1.0, 100.0)], None) == ([(-1.0, 100.0)], False)


def test_the_strip_takes_the_part_of_the_width_that_is_done() -> None:
    half = [len(line.rstrip()) - 11 for line in drawn(curves((3.0, 2.0, 1.0)), steps=5)]
    assert max(half) == 20
    assert max(len(line.rstrip()) - 11 for line in drawn(curves((3.0, 2.0, 1.0)), steps=2)) == 40


def test_marks_stand_where_something_was_changed() -> None:
    made = curves([5.0 - step / 20 for step in range(80)])
    made.mark([event(40, "lr"), event(79, "paused"), event(80, "resumed")])
    for line in drawn(made, steps=79):
        cells = line[11:]
        assert [place for place, cell in enumerate(cells) if cell == "┊"] in ([20, 39], [20], [39])
    assert drawn(made, steps=79)[0][31] == "┊"
    few = curves([1.0, 1.0, 1.0])
    few.mark([event(1, "lr")])
    assert drawn(few, steps=2)[0][11:].index("┊") == 19


def test_terms_stand_side_by_side_each_on_its_own_scale() -> None:
    made = Curves()
    made.extend([row(1, step, terms={"ce": 3.0 - step, "cosine": 0.01 * step}) for step in range(3)])
    upper, *_, lower = (line.split() for line in drawn(made, Chart.TERMS, steps=2, width=60))
    assert (upper[0], upper[2]) == ("3.0000", "0.0200")
    assert (lower[0], lower[2]) == ("1.0000", "0.0000")
    assert drawn(made, Chart.TERMS, width=30)[0].split()[0] == "3.0000"
    assert "0.0200" not in drawn(made, Chart.TERMS, width=30)[0]


def test_terms_are_called_what_their_columns_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TERMS, "fluency", replace(TERMS["fluency"], title="own CE"))
    made = Curves()
    terms = {"ce": 2.0, "fluency": 1.0, "of later": 1.0}
    made.extend([row(1, step, terms=terms) for step in range(2)])
    painted = " ".join(drawn(made, Chart.TERMS, width=120)).split()
    assert {"ce", "own", "CE", "later"} <= set(painted)
    assert "fluency" not in painted


def test_a_logarithmic_scale_says_so_beside_the_longest_title() -> None:
    made = Curves()
    made.extend([row(1, step, terms={"fluency": 10.0**step}) for step in range(3)])
    lines = [line[:10].strip() for line in drawn(made, Chart.TERMS, width=60, height=5)]
    assert lines[1:3] == ["log", "fluency"]


def test_a_strip_without_a_finite_value_says_so() -> None:
    assert drawn(Curves()) == []
    assert any("no finite value of loss" in line for line in drawn(curves([None, math.inf]), width=60))
    assert any(
        "no finite value of terms" in line for line in drawn(curves([1.0], terms={}), Chart.TERMS, width=60)
    )


def test_a_strip_of_any_size_is_as_wide_and_high_as_its_place() -> None:
    made = curves([None if step % 7 == 3 else step**0.5 for step in range(1000)])
    for width in (12, 13, 40, 161):
        for height in (2, 3, 6):
            lines = drawn(made, steps=2000, width=width, height=height)
            assert len(lines) == height
            assert {len(line) for line in lines} == {width}
    assert drawn(made, width=11) == []


def test_the_rounding_of_a_number_that_is_held_is_no_curve() -> None:
    made = Curves()
    made.extend([row(1, step, z_norm=0.28301510 + 3e-8 * (step % 3)) for step in range(40)])
    painted = [line[11:] for line in drawn(made, Chart.Z_NORM)]
    assert len([line for line in painted if line.strip("⠀ ")]) == 1


def test_what_is_measured_of_decoded_rows_is_a_straight_line_between_them() -> None:
    rows = [
        row(1, step, measures={"round_trip": step / 10} if step % 4 == 0 else {}, decoded_prediction="x")
        for step in range(10)
    ]
    made = Curves()
    made.extend(rows[5:])
    made.extend(rows[:5])
    chart = chart_named("round_trip")
    ranges = made.ranges(chart)[chart.title]
    assert [bucket and round(bucket[0], 9) for bucket in ranges] == [*(step / 10 for step in range(9)), None]
    early = made.up_to(rows[6:7]).ranges(chart)[chart.title]
    assert [bucket and round(bucket[1], 9) for bucket in early] == [0.0, 0.1, 0.2, 0.3, 0.4, None, None]
    assert Chart.Z_NORM.after(made.measures) == chart
    assert chart.after(made.measures) == Chart.LOSS == Chart.Z_NORM.after(())
