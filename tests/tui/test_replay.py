"""A replay shows a run as it stood at each of its rows, at the pace that was asked for."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store.reading import Reader
from engine.store.records import EventRecord, RunRecord, Status, StepRecord
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.test_run_tree import RUN
from tui.curves import Chart, Curves
from tui.playback import Playback, Speed, parse_speed
from tui.recorded_figures import RecordedFigures
from tui.replay import RecordedRun, next_of, read_recorded
from tui.trajectory import Row, Trajectory
from tui.widgets.chart_strip import strip_lines
from tui.widgets.scrubber import Marks, ScrubberView, bar_line, mark_signs, step_at, words_line


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def playback(
    clock: HandClock, rows: int = 101, speed: Speed = Speed.X1, steps: Sequence[int] | None = None
) -> Playback:
    """Rows that took 20 ms each."""
    steps = steps or range(rows)
    return Playback(steps, [20.0 * (place + 1) for place in range(len(steps))], clock, speed=speed)


@pytest.mark.parametrize(
    ("speed", "seconds", "step"),
    [
        (Speed.QUARTER, 4.0, 10),
        (Speed.HALF, 4.0, 20),
        (Speed.X1, 4.0, 40),
        (Speed.X2, 4.0, 80),
        (Speed.X5, 1.0, 50),
        (Speed.X10, 0.9, 90),
        (Speed.X20, 0.3, 60),
        (Speed.X50, 0.1, 50),
        (Speed.X100, 0.07, 70),
        (Speed.RECORDED, 1.0, 50),
    ],
)
def test_the_position_is_the_time_that_has_passed_at_a_speed(speed: Speed, seconds: float, step: int) -> None:
    clock = HandClock()
    played = playback(clock, speed=speed)
    played.play()
    for _ in range(7):  # however often it is looked at
        clock.now_s += seconds / 7
        played.advance()
    assert played.position == step


def test_as_recorded_each_row_comes_after_the_milliseconds_that_it_took() -> None:
    clock = HandClock()
    played = Playback(range(4), [5.0, 505.0, 515.0, 1515.0], clock, speed=Speed.RECORDED)
    played.play()
    shown = []
    for _ in range(7):
        clock.now_s += 0.25
        played.advance()
        shown.append(played.position)
    assert shown == [0, 1, 2, 2, 2, 2, 3]
    assert not played.is_playing


def test_it_stops_at_the_last_row_and_plays_again_from_the_first() -> None:
    clock = HandClock()
    played = playback(clock)
    played.play()
    clock.now_s += 60
    assert played.advance()
    assert (played.position, played.is_playing) == (100, False)
    clock.now_s += 60
    assert not played.advance()
    played.play()
    assert (played.position, played.is_playing) == (0, True)


def test_paused_it_stays_where_it_is_and_goes_on_from_there() -> None:
    clock = HandClock()
    played = playback(clock)
    played.play()
    clock.now_s += 2
    played.advance()
    played.pause()
    clock.now_s += 100
    assert not played.advance()
    assert played.position == 20
    played.play()
    clock.now_s += 1
    played.advance()
    assert played.position == 30


def test_another_speed_holds_from_where_it_is() -> None:
    clock = HandClock()
    played = playback(clock)
    played.play()
    clock.now_s += 2
    assert played.change_speed(faster=True)
    clock.now_s += 1
    played.advance()
    assert (played.position, played.speed) == (40, Speed.X2)
    slower = []
    while played.change_speed(faster=False):
        slower.append(played.speed)
    assert slower == [Speed.X1, Speed.HALF, Speed.QUARTER, Speed.RECORDED]
    while played.change_speed(faster=True):
        pass
    assert (played.position, played.speed) == (40, Speed.X100)


def test_steps_pause_and_stay_within_the_rows() -> None:
    clock = HandClock()
    played = playback(clock)
    played.play()
    played.step(-1)
    assert (played.position, played.is_playing) == (0, False)
    played.play()
    played.seek(1000)
    assert (played.position, played.is_playing) == (100, False)
    played.step(1)
    assert played.position == 100
    played.seek(-5)
    assert played.position == 0


def test_a_table_with_gaps_is_played_by_its_steps_and_never_as_recorded() -> None:
    clock = HandClock()
    steps = [*range(0, 100, 10), 99]
    played = Playback(steps, [0.0] * len(steps), clock, speed=Speed.RECORDED)
    speeds = [played.speed]
    played.play()
    clock.now_s += 3.5
    played.advance()
    assert steps[played.position] == 30
    while played.change_speed(faster=False):
        speeds.append(played.speed)
    assert speeds == [Speed.X1, Speed.HALF, Speed.QUARTER]


def test_a_single_row_is_at_its_end_at_once() -> None:
    played = playback(HandClock(), rows=1)
    played.play()
    assert not played.is_playing


def test_a_speed_is_read_as_it_is_written() -> None:
    assert [parse_speed(speed.value) for speed in Speed] == list(Speed)
    assert parse_speed(" 10x ") is Speed.X10
    with pytest.raises(UserError, match=r"^speed: 'fast': allowed are 0\.25, 0\.5, 1, .*, 100, recorded$"):
        parse_speed("fast")


@pytest.mark.parametrize("here", range(8))
def test_the_nearest_of_some_positions(here: int) -> None:
    positions = [1, 4, 5]
    later, earlier = [p for p in positions if p > here], [p for p in positions if p < here]
    assert next_of(positions, here, forward=True) == (later[0] if later else None)
    assert next_of(positions, here, forward=False) == (earlier[-1] if earlier else None)


def _live(database: Path, run: int) -> RunRecord:
    with Reader(database) as reader:
        return reader.run(run)


def test_at_each_row_the_run_is_what_a_viewer_saw_when_the_row_was_new(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=20)
    texts = {0: "a", 5: "b", 10: "b", 15: "a", 20: "c", 25: "c"}
    seen = []
    for step in range(27):
        lr = 0.02 if step >= 7 else 0.01
        if step == 7:
            recording.set_lr(run, 7, 0.01, 0.02)
        if step == 9:
            weights = {"ce": 1.0, "cosine": 0.1}
            recording.set_weights(run, 9, "cosine 0 → 0.1", weights, "ce + 0.1 cosine")
            recording.set_break_points(run, 9, "match", "loss<0.2")
        if step == 12:
            recording.set_weights(run, 12, "ce 1 → 0", {"cosine": 0.1}, "0.1 cosine")
            recording.remove_break_point(run, 12, "match", ["loss<0.2"])
        if step == 18:
            recording.extend(run, 18, 20, 40)
        decoded = {"decoded_prediction": texts[step], "match": texts[step] == "b"} if step in texts else {}
        recording.steps(run, [row(run, step, lr=lr, **decoded)])
        seen.append(_live(database, run))
    recording.end(run, 26, Status.FAILED, "loss: not finite")
    ended = _live(database, run)

    recorded = read_recorded(database, run)

    assert list(recorded.steps) == list(range(27))
    for position, live in enumerate(seen[:-1]):
        shown = recorded.run_at(position)
        # Who computes is not part of what it was.
        assert shown == replace(live, worker_pid=shown.worker_pid, heartbeat=shown.heartbeat), position
    assert recorded.run_at(26) == ended
    assert [recorded.steps[place] for place in recorded.changes] == [5, 15, 20]
    assert recorded.first_match is not None
    assert recorded.steps[recorded.first_match] == 5
    assert [recorded.steps[place] for place in recorded.events] == [0, 7, 9, 12, 18, 26]


def _events(run: int) -> list[EventRecord]:
    kinds = [(0, "started"), (30, "failed"), (30, "resumed"), (31, "lr"), (60, "paused"), (61, "lr")]
    kinds += [(120, "lr"), (200, "finished"), (201, "extended")]
    return [
        EventRecord(number, run, step, 0.0, kind, "0.01 → 0.02" if kind == "lr" else "", "")
        for number, (step, kind) in enumerate(kinds, 1)
    ]


def _rows(trajectory: Trajectory) -> list[Row | None]:
    return [trajectory.row(index) for index in range(len(trajectory))]


def _recorded(steps: Sequence[StepRecord], events: Sequence[EventRecord] = ()) -> RecordedRun:
    trajectory, curves, figures = Trajectory(), Curves(), RecordedFigures()
    trajectory.extend(steps, events)
    figures.extend(steps)
    curves.extend(steps)
    curves.mark(events)
    run = replace(RUN, steps=200, last_step=steps[-1].step if steps else None)
    return RecordedRun(run, trajectory, curves, figures)


def test_rows_and_events_come_into_sight_in_order_whichever_way_it_goes() -> None:
    steps = published_like_rows(1, 201)
    recorded = _recorded(steps, _events(1))
    shown = Trajectory()
    order = [*range(0, 201, 7), 200, *random.Random(5).choices(range(201), k=60)]
    for position in order:
        shown.keep_first(recorded.rows_at(position), recorded.trajectory)
        is_last = position == 200
        expected = Trajectory()
        expected.extend(
            steps[: position + 1],
            [event for event in _events(1) if is_last or (event.step or 0) <= position],
        )
        assert _rows(shown) == _rows(expected), position
        assert shown.last_step == position
        assert shown.index_of(position) == expected.index_of(position)
        assert shown.first_match() == expected.first_match()


@pytest.mark.parametrize("count", [1, 40, 201, 600, 5000])
def test_the_chart_ends_where_the_replay_stands(count: int) -> None:
    steps = [row(1, step, loss=float((step * 7919) % 1009)) for step in range(count)]
    recorded = _recorded(steps, [event for event in _events(1) if (event.step or 0) < count])
    for position in {0, count // 3, count // 2, count - 1}:
        shown = recorded.curves_at(position)
        (ranges,) = shown.ranges(Chart.LOSS).values()
        losses = [float((step * 7919) % 1009) for step in range(position + 1)]
        known = [bucket for bucket in ranges if bucket]
        assert min(low for low, _ in known) == min(losses)
        assert max(high for _, high in known) == max(losses)
        assert shown.last_step == position
        if count <= 201:
            live = Curves()
            live.extend(steps[: position + 1])
            live.mark(event for event in _events(1) if (event.step or 0) <= position)
            assert strip_lines(shown, Chart.LOSS, 200, 90, 6) == strip_lines(live, Chart.LOSS, 200, 90, 6)
    assert recorded.curves.last_step == count - 1


def test_a_step_without_a_row_is_the_row_before_it() -> None:
    recorded = _recorded([row(1, step) for step in (0, 10, 20, 99)])
    assert [recorded.steps[recorded.position_of(step)] for step in (-3, 0, 9, 10, 98, 99, 500)] == [
        0,
        0,
        0,
        10,
        20,
        99,
        99,
    ]


def test_a_run_without_rows_has_nothing_to_show() -> None:
    recorded = _recorded([], _events(1)[:1])
    assert (len(recorded.steps), recorded.events, recorded.first_match) == (0, [], None)


_VIEW = ScrubberView(
    step=50, first=0, last=100, is_playing=True, speed="10×", elapsed_ms=1250.0, total_ms=65_000.0
)


def _text(line: Sequence[tuple[str, str]]) -> str:
    return "".join(part for part, _ in line)


def test_the_bar_has_the_position_and_the_marks_in_their_cells() -> None:
    marks = Marks(events=[0, 30, 100], changes=[10, 20, 30, 50], first_match=20)
    signs = mark_signs(_VIEW, marks, 11)
    assert _text(bar_line(_VIEW, signs, 11)) == "┊·✓┊━●────┊"
    assert _text(bar_line(replace(_VIEW, step=100), signs, 11)) == "┊·✓┊━·━━━━●"
    assert _text(bar_line(replace(_VIEW, step=0), signs, 11)) == "●·✓┊─·────┊"


@pytest.mark.parametrize("width", [1, 2, 11, 78, 158])
def test_a_cell_of_the_bar_leads_to_the_step_that_it_stands_for(width: int) -> None:
    for column in range(width):
        step = step_at(_VIEW, column, width)
        line = bar_line(replace(_VIEW, step=step), {}, width)
        assert abs(_text(line).index("●") - column) <= (0 if width <= 101 else 1)
    assert step_at(_VIEW, -4, width) == 0
    assert step_at(_VIEW, width + 4, width) == 100


def test_the_words_say_how_it_is_played_and_where_it_stands() -> None:
    assert _text(words_line(_VIEW, 60)) == " REPLAY  ▶ playing 10×   step 50/100   1.2 s of 1 min 05 s"
    wide = _text(words_line(_VIEW, 100))
    assert wide.endswith("┊ event  · change  ✓ first match")
    assert len(wide) == 100
    paused = replace(_VIEW, is_playing=False, speed="as recorded", total_ms=0.0)
    assert _text(words_line(paused, 60)) == " REPLAY  ■ paused as recorded   step 50/100"
    assert "at the end" in _text(words_line(replace(paused, step=100), 60))
