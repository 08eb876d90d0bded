"""Going back from a row that is not finite: what a lower lr can then do."""

import math

import pytest
from torch import Tensor

from engine.breakpoints import parse_condition
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.spec import with_changes
from engine.steps.step import Step
from engine.work.active_run import ActiveRun
from engine.work.together import advance
from tests.engine.toy import toy_bundle, toy_spec

LIMIT = 8.0


@pytest.fixture(autouse=True)
def no_prediction_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings longer than LIMIT give NaN."""
    predict_each = LoadedBundle.predict_each

    def limited(self: LoadedBundle, sentences: Tensor) -> Tensor:
        is_short = sentences.norm(dim=-1, keepdim=True) < LIMIT
        return predict_each(self, sentences).where(is_short, math.nan)

    monkeypatch.setattr(LoadedBundle, "predict_each", limited)


def active(optimization: Optimization) -> ActiveRun:
    """A run that pauses where something is not finite."""
    spec = optimization.specs[0]
    return ActiveRun(
        1,
        optimization.bundle,
        optimization,
        [parse_condition("not-finite")],
        before=None,
        decoded_before=None,
        asked_for=spec,
        in_force=spec,
    )


def row_of(run: ActiveRun) -> Step:
    (made,) = advance([run])
    return made.step


def test_a_lower_lr_leads_around_what_is_not_finite() -> None:
    bundle = toy_bundle()
    optimization = Optimization([toy_spec(steps=9, lr=0.01, norm="free")], bundle)
    run = active(optimization)
    hashes = [row_of(run).state_hash, row_of(run).state_hash]

    optimization.set_lr(0, 100.0)  # a step of this length leads beyond the limit
    last_good = row_of(run)
    bad = row_of(run)
    assert (bad.step, bad.problem is None) == (3, False)
    run.step_back(with_changes(run.spec, lr=0.01))
    assert run.next_step == 2
    again = row_of(run)
    assert (again.step, again.state_hash, again.lr) == (2, last_good.state_hash, 0.01)
    rest = [row_of(run) for _ in range(7)]
    assert optimization.done
    assert all(step.problem is None for step in rest)

    calm = Optimization([toy_spec(steps=9, lr=0.01, norm="free")], bundle)
    expected = [calm.advance()[0].state_hash for _ in range(10)]
    assert [*hashes, again.state_hash, *(step.state_hash for step in rest)] == expected


def test_a_run_that_cannot_go_back_stays_where_it_is() -> None:
    """Its first row is not finite: other weights may help, and it is evaluated again."""
    optimization = Optimization([toy_spec(steps=3, weights={"ce": 1.0, "mse": 1e300})], toy_bundle())
    run = active(optimization)
    for _ in range(2):
        step = row_of(run)
        assert (step.step, step.loss) == (0, math.inf)
        run.step_back(run.spec)
    optimization.set_weights(0, {"ce": 1.0})
    assert [row_of(run).step for _ in range(4)] == [0, 1, 2, 3]
    assert optimization.done
