"""The study of objectives: what its table says of runs that are made here one by one."""

import statistics

import pytest

from benchmarks import objectives
from engine.optimizer import optimize
from engine.spec import RunSpec
from engine.step import Step
from tests.engine.toy import toy_bundle, toy_spec


@pytest.fixture(scope="module")
def specs() -> list[RunSpec]:
    return [toy_spec(steps=4, decode_every=2, target=target, lr=0.05) for target in objectives.TARGETS[:3]]


def mean_loss(row: Step) -> float:
    return statistics.fmean(row.token_losses or ())


def test_a_line_is_what_the_runs_are_alone(specs: list[RunSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = toy_bundle()
    monkeypatch.setattr(objectives, "RUNS_AT_ONCE", 2)  # two batches
    cells = objectives.line(list(objectives.results(bundle, specs)), seconds=12.3)
    decoded = [[row for row in optimize(spec, bundle) if row.decoded_z is not None] for spec in specs]
    assert all(len(rows) == 3 for rows in decoded)
    best = [min(rows, key=mean_loss) for rows in decoded]
    text_ce = [min(row.measures["reread_ce"] for row in rows) for rows in decoded]
    assert cells == [
        "0%",
        "–",
        f"{statistics.fmean(map(mean_loss, best)):.2f}",
        f"{statistics.fmean(row.measures['round_trip'] for row in best):.2f}",
        f"{statistics.fmean(row.measures['own_ce'] for row in best):.2f}",
        f"{statistics.fmean(text_ce):.2f}",
        "0%",
        "12",
    ]


def test_the_first_match_counts(specs: list[RunSpec]) -> None:
    bundle = toy_bundle()
    said = next(optimize(specs[0], bundle)).decoded_prediction
    (found,) = objectives.results(bundle, [specs[0].model_copy(update={"target": said})])
    assert found.first_match == 0
    assert objectives.line([found], 0.0)[:2] == ["100%", "0"]


def test_every_objective_is_a_run_that_can_be_asked_for() -> None:
    for fields in objectives.OBJECTIVES.values():
        assert RunSpec(**fields).terms
