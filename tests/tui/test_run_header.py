"""The head of the selected run at different widths."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine.spec import RunSpec
from engine.store.records import Status
from tests.tui.test_run_tree import RUN
from tui.widgets.run_header import HeaderView, header_lines

_RUN = replace(
    RUN,
    number=7,
    id=12,
    status=Status.RUNNING,
    device="cuda:0",
    loss_name="ce + 0.1 cosine",
    last_step=42,
    loss=0.1032,
    similarity=0.149,
    lr=0.01,
    z_norm=0.207,
    match=False,
    weights={"ce": 1.0, "cosine": 0.1},
    schedules={},
    break_points=(),
)
_VIEW = HeaderView(_RUN, gpu="GPU 5.6/80 GiB 97%", terms={"ce": 0.09, "cosine": 0.132})


def shown(view: HeaderView, width: int) -> list[str]:
    return [line.plain.rstrip() for line in header_lines(view, width)]


@pytest.mark.parametrize(
    ("width", "title"),
    [
        (108, "run 12  today/7  ce + 0.1 cosine loss, mini on cuda:0, GPU 5.6/80 GiB 97%"),
        (68, "run 12  today/7  ce + 0.1 cosine loss, GPU 5.6/80 GiB 97%"),
        (64, "run 12  today/7  ce + 0.1 cosine loss, mini on cuda:0"),
        (48, "run 12  today/7  ce + 0.1 cosine los…"),
    ],
)
def test_what_a_run_optimises_stays_and_where_it_runs_gives_way(width: int, title: str) -> None:
    line = shown(_VIEW, width)[0]
    assert line.removesuffix("● running").rstrip() == title
    assert cell_len(line) == width


def test_the_terms_stand_beside_the_loss_where_there_is_room() -> None:
    assert shown(_VIEW, 100)[2] == (
        "loss 0.1032   ce 0.0900   cosine 0.1320   sim 0.149   lr 0.01   |z| 0.207   no match yet"
    )
    assert shown(_VIEW, 80)[2] == "loss 0.1032   sim 0.149   lr 0.01   |z| 0.207   no match yet"
    assert shown(replace(_VIEW, terms={"ce": 0.1032}), 100)[2].count("0.1032") == 1


@pytest.mark.parametrize("width", [1, 10, 30, 54, 80, 200])
def test_no_line_is_longer_than_the_header_is_wide(width: int) -> None:
    hostile = replace(
        _RUN, name="[b]日本語\x1b[2J" * 20, session="s" * 100, init="\u202e" * 50, break_points=("match",)
    )
    for run in (_RUN, hostile):
        lines = shown(replace(_VIEW, run=run, steps_per_second=3.2, pending=("pause",)), width)
        assert len(lines) >= 5
        assert all(cell_len(line) <= width for line in lines)


def test_the_steps_of_a_population_search_are_generations() -> None:
    search = replace(_VIEW, run=replace(_RUN, spec=RunSpec(method="population").model_dump_json()))
    for view, said in ((_VIEW, "step 42 of 100 "), (search, "generation 42 of 100 ")):
        assert [line.startswith(said) for line in shown(view, 80)].count(True) == 1
