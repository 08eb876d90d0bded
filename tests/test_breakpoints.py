"""Break-points: what is one, and which row meets it."""

import math

import pytest

from engine.breakpoints import BOUNDED, parse_condition
from engine.errors import UserError
from engine.store.records import StepRecord

TARGET = "Lily."


def row(step: int, prediction: str | None = None, /, **values: object) -> StepRecord:
    """A row of a run whose target is TARGET, as the worker has it before it is stored."""
    fields: dict[str, object] = {
        "run": 1,
        "step": step,
        "loss": 1.0,
        "terms": {"ce": 1.0},
        "similarity": 0.1,
        "grad_norm": 2.0,
        "z_norm": 0.2,
        "lr": 0.01,
        "elapsed_ms": 5.0,
        "decoded_z": None if prediction is None else "z",
        "decoded_prediction": prediction,
        "match": None if prediction is None else prediction.strip() == TARGET,
        "state_hash": None,
    }
    return StepRecord(**(fields | values))  # type: ignore[arg-type]


def steps_that_meet(condition: str, rows: list[StepRecord]) -> list[int]:
    """The steps in which a condition is met, when the rows come one after the other."""
    met: list[int] = []
    before, decoded_before = None, None
    for each in rows:
        if parse_condition(condition).is_met(before, each, decoded_before):
            met.append(each.step)
        before = each
        if each.decoded_prediction is not None:
            decoded_before = each.decoded_prediction
    return met


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("changed", "changed"),
        (" match ", "match"),
        ("not-finite", "not-finite"),
        ("loss<0.2", "loss<0.2"),
        (" loss < 0.20 ", "loss<0.2"),
        ("similarity>.9", "similarity>0.9"),
        ("grad_norm>1e3", "grad_norm>1000"),
        ("z_norm<1e-7", "z_norm<1e-07"),
        ("ce<0.1", "ce<0.1"),
        ("cosine>-0.5", "cosine>-0.5"),
        ("mse>2", "mse>2"),
    ],
)
def test_a_condition_has_one_text(text: str, canonical: str) -> None:
    assert str(parse_condition(text)) == canonical
    assert parse_condition(canonical) == parse_condition(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "never", "loss", "loss<", "loss<low", "loss<=0.2", "loss=0.2", "loss<nan", "loss>inf", "lr<1",
        "0.2>loss", "step>5", "hinge<1", "loss<0.2 match", "x" * 10_000, "\x1b[2J",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_condition(text)
    line = str(refused.value)
    assert line.startswith("break-point: ")
    assert line.isprintable()
    assert len(line) < 250
    for allowed in ("changed", "match", "not-finite", "NAME<NUMBER", *BOUNDED):
        assert allowed in line


def test_changed_compares_decoded_rows_only() -> None:
    texts = ["a", None, "a", None, "b", "b", "a "]
    assert steps_that_meet("changed", [row(step, text) for step, text in enumerate(texts)]) == [4, 6]


def test_match_is_met_when_a_match_begins() -> None:
    texts = ["a", None, " Lily.", None, "Lily.", "Lily", "Lily.\n"]
    assert steps_that_meet("match", [row(step, text) for step, text in enumerate(texts)]) == [2, 6]
    assert steps_that_meet("match", [row(0, TARGET)]) == [0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("name", ["loss", "grad_norm", "similarity"])
def test_not_finite_is_met_when_a_number_stops_being_finite(name: str, value: float | None) -> None:
    bad: dict[str, object] = {name: value}
    rows = [row(0), row(1, **bad), row(2, **bad), row(3), row(4, **bad)]
    assert steps_that_meet("not-finite", rows) == [1, 4]
    assert parse_condition("not-finite").describe(rows[1]) == f"not-finite: {name} at step 1"


def test_not_finite_watches_the_terms_that_are_there() -> None:
    rows = [row(0), row(1, terms={"ce": 1.0, "mse": math.inf}), row(2, terms={"ce": None}), row(3, terms={})]
    assert steps_that_meet("not-finite", rows) == [1, 2]
    assert parse_condition("not-finite").describe(rows[2]) == "not-finite: ce at step 2"


def test_a_bound_is_met_when_it_is_passed() -> None:
    losses = [0.5, 0.2, 0.19, 0.1, 0.3, math.nan, 0.1, None, 0.1]
    rows = [row(step, loss=loss) for step, loss in enumerate(losses)]
    assert steps_that_meet("loss<0.2", rows) == [2, 6, 8]
    assert steps_that_meet("loss>0.25", rows) == [0, 4]
    assert parse_condition("loss<0.2").describe(row(34, loss=0.198712)) == "loss<0.2: 0.1987 at step 34"


def test_a_term_without_a_weight_passes_no_bound() -> None:
    rows = [row(0), row(1, terms={"ce": 1.0, "cosine": -0.4}), row(2, terms={"ce": 1.0, "cosine": -0.6})]
    assert steps_that_meet("cosine<-0.5", rows) == [2]
    assert steps_that_meet("mse<9", rows) == []
