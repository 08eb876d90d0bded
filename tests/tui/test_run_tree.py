"""Sessions, runs and forks as lines, and the language that narrows them down."""

from dataclasses import replace
from typing import Any

import pytest

from engine.store.records import RunRecord, Status
from tui.news import RunView
from tui.run_filter import RunFilter, SortBy, in_order, parse_filter
from tui.run_tree import RunLine, SessionLine, tree_lines
from tui.sparkline import packed

_VALUES: dict[str, Any] = (
    dict.fromkeys(RunRecord.__dataclass_fields__)
    | {"session": "today", "init": "I like cheese.", "target": "The dog was happy.", "spec": "{}"}
    | {"loss_name": "ce", "bundle": "mini", "steps": 100, "status": Status.FINISHED, "device": "cpu"}
    | {"origin": "recorded"}
)
RUN = RunRecord(**_VALUES)


def run(id: int, **values: Any) -> RunRecord:
    return replace(RUN, **{"id": id, "number": id} | values)


def drawn(
    *records: RunRecord, closed: tuple[str, ...] = (), text: str = "", sort: SortBy = SortBy.NEWEST
) -> list[str]:
    views = [RunView(record, packed(())) for record in sorted(records, key=lambda record: -record.id)]
    lines = []
    for line in tree_lines(views, closed, run_filter=parse_filter(text), sort=sort):
        if isinstance(line, SessionLine):
            lines.append(f"{'▾' if line.is_open else '▸'} {line.name} {line.runs}")
        else:
            assert isinstance(line, RunLine)
            lines.append(f"{line.guides}{line.run.record.id}{' ' * bool(line.origin)}{line.origin}")
            below = line.guides_below + "│ " * line.has_forks
            lines += [f"{below}"] if below else []
    return lines


def test_sessions_stand_by_their_newest_run() -> None:
    assert drawn(run(1, session="a"), run(2, session="b"), run(3, session="a"), closed=("b",)) == [
        "▾ a 2",
        "3",
        "1",
        "▸ b 1",
    ]


def test_forks_stand_under_their_parents() -> None:
    assert drawn(
        run(1),
        run(2, parent_run=1, parent_step=40),
        run(3, parent_run=2, parent_step=60),
        run(4, parent_run=1, parent_step=9),
        run(5),
    ) == [
        "▾ today 5",
        "5",
        "1",
        "│ ",
        "├ 4 @9",
        "│ ",
        "└ 2 @40",
        "  │ ",
        "  └ 3 @60",
        "    ",
    ]


def test_a_fork_whose_parent_stands_elsewhere_names_it() -> None:
    fork = run(7, parent_run=3, parent_step=12, session="later")
    assert drawn(run(3), fork) == ["▾ later 1", "7 3@12", "▾ today 1", "3"]
    assert drawn(run(3), replace(fork, session="today", name="x"), text="x") == ["▾ today 1", "7 3@12"]
    assert drawn(fork) == ["▾ later 1", "7 ?@12"]


def test_a_chain_of_forks_of_any_length_is_drawn() -> None:
    chain = [run(1), *(run(id, parent_run=id - 1, parent_step=0) for id in range(2, 3001))]
    assert max(len(line) for line in drawn(*chain)) < 20


def test_another_order_is_a_ranking_over_all_sessions() -> None:
    runs = (run(1, session="a", loss=0.5), run(2, loss=None), run(3, loss=-0.9, parent_run=1, parent_step=2))
    assert drawn(*runs, sort=SortBy.LOSS) == ["3 1@2", "1", "2"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (SortBy.NEWEST, [4, 3, 2, 1]),
        (SortBy.LOSS, [2, 1, 4, 3]),
        (SortBy.SIMILARITY, [1, 2, 4, 3]),
        (SortBy.FIRST_MATCH, [1, 3, 4, 2]),
        (SortBy.NAME, [4, 1, 3, 2]),
    ],
)
def test_runs_without_the_value_come_last_and_newer_ones_first(sort: SortBy, expected: list[int]) -> None:
    runs = [
        run(1, loss=0.2, similarity=0.9, first_match_step=0, name="b"),
        run(2, loss=-0.1, similarity=-0.5),
        run(3, first_match_step=10),
        run(4, name="A"),
    ]
    assert [record.id for record in in_order(runs, sort)] == expected


def test_the_orders_are_a_cycle() -> None:
    order = SortBy.NEWEST
    for _ in SortBy:
        order = order.following
    assert order is SortBy.NEWEST


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("", True),
        ("   ", True),
        ("cheese", True),
        ("CHEESE happy", True),
        ("cheese sad", False),
        ('"was happy"', True),
        ('"happy was"', False),
        ('"was hap', True),
        ("lily", True),
        ("tuesday", True),
        ("first", True),
        ("match", True),
        ('"match"', False),
        ("status:running", True),
        ("status:RUN", True),
        ("status:paused", False),
        ("bundle:mini", True),
        ("bundle:sonar", False),
        ('session:"on tuesday"', True),
        ("loss<0.2", True),
        ("loss<0.15", False),
        ("loss<=0.15", True),
        ("sim>0.5", True),
        ("sim>=0.6", False),
        ("lr<1e-2", True),
        ("steps>99 steps<101", True),
        ("loss>-inf", True),
    ],
)
def test_a_filter_holds_for_a_run(text: str, is_shown: bool) -> None:
    record = run(
        1,
        name="my first",
        session="runs on tuesday",
        status=Status.RUNNING,
        decoded_prediction="Lily",
        match=True,
        loss=0.15,
        similarity=0.55,
        lr=0.009,
    )
    assert parse_filter(text).holds(record) is is_shown
    assert not parse_filter("loss<1").holds(run(2))
    assert parse_filter("match").holds(run(2, match=False)) is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("loss<", "loss<: a number is needed, as in loss<0.2"),
        ("cheese loss<abc", "loss<abc: a number is needed, as in loss<0.2"),
        ("sim>nan", "sim>nan: a number is needed, as in sim>0.2"),
        ("<3", "<3: bounds are for loss, sim, lr, steps, as in loss<0.2"),
        ("norm>1", "norm>1: bounds are for loss, sim, lr, steps, as in loss<0.2"),
        ("state:running", "state: there are status, bundle, session; text with a colon needs quotes"),
        (
            "status:walking",
            "status:walking: allowed are queued, loading, running, paused, finished, stopped, failed, "
            "crashed",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(text: str, reason: str) -> None:
    assert parse_filter(text).wrong == reason
    assert parse_filter(f"lily {text} loss<").wrong == reason


def test_what_cannot_be_read_is_left_out() -> None:
    assert parse_filter("cheese loss<").holds(run(1))
    assert not parse_filter("loss< lily").holds(run(1))
    assert parse_filter("cheese").wrong is None


def test_what_was_typed_is_kept() -> None:
    assert parse_filter("loss<0.2  lily").text == "loss<0.2  lily"
    assert RunFilter().holds(run(1))
