"""RunSpec: what is accepted, and the one line for what is not."""

import math

import pytest

from engine.errors import UserError
from engine.objective import TERMS
from engine.spec import RandomInit, RunSpec, TextInit, VectorInit, check_lr, parse_spec


def test_the_default_is_the_published_experiment() -> None:
    spec = RunSpec()
    assert spec.init == TextInit(text="I like cheese.")
    assert spec.target == "Once upon a time, there was a little girl named Lily."
    assert (spec.weights, spec.lr, spec.steps, spec.norm) == ({"ce": 1.0}, 0.01, 100, "initial")
    assert (spec.bundle, spec.beam) == ("mini", 5)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"lr": 0}, "lr: 0: should be greater than 0"),
        ({"lr": -1.5}, "lr: -1.5: should be greater than 0"),
        ({"lr": math.nan}, "lr: nan: should be a finite number"),
        ({"lr": "fast"}, "lr: 'fast': should be a valid number"),
        ({"steps": 0}, "steps: 0: should be greater than or equal to 1"),
        ({"target": "  \n"}, "target: '  \\n': empty; a sentence is needed"),
        ({"target": "a\x00b"}, "target: 'a\\x00b': contains a NUL character"),
        ({"target": "a" * 10_001}, "10001 characters; at most 10000 are allowed"),
        ({"init": {"kind": "text", "text": ""}}, "init.text: '': empty"),
        ({"init": {"kind": "song"}}, "init: tag 'song'"),
        ({"weights": {"beauty": 1}}, "weights: no loss term 'beauty'; there are ce, cosine, mse"),
        ({"weights": {"ce": -1}}, "weights: ce=-1; a weight is 0 or more"),
        ({"weights": {"ce": 0}}, "weights: at least one loss term needs a weight above 0"),
        ({"norm": "long"}, "norm: 'long': allowed are initial, free, or a number above 0"),
        ({"norm": -2}, "norm: -2: allowed are initial, free, or a number above 0"),
        ({"device": "tpu"}, "device: 'tpu': allowed are auto, cpu, cuda, cuda:N"),
        ({"dtype": "int8"}, "dtype: 'int8': should be 'float32' or 'bfloat16'"),
        ({"beam": 99}, "beam: 99: should be less than or equal to 20"),
        ({"colour": "red"}, "colour: 'red': Extra inputs are not permitted"),
    ],
)
def test_bad_input_gets_one_line_that_names_field_value_and_what_is_allowed(
    fields: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError) as error:
        parse_spec(**fields)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(UserError, match=r"lr: .*; steps: "):
        parse_spec(lr=0, steps=0)


@pytest.mark.parametrize("init", [TextInit(text="Hi."), RandomInit(seed=3), VectorInit(run=2, step=5)])
def test_a_spec_survives_json(init: TextInit | RandomInit | VectorInit) -> None:
    spec = RunSpec(init=init, norm=0.3, weights={"ce": 1, "cosine": 0.1}, vectors="ends")
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_loss_has_a_short_name() -> None:
    assert RunSpec().loss_name == "ce"
    assert RunSpec(weights={"ce": 1, "cosine": 0.1, "mse": 0}).loss_name == "ce + 0.1 cosine"
    assert list(TERMS)[:3] == ["ce", "cosine", "mse"]


def test_which_steps_are_decoded_and_kept() -> None:
    spec = RunSpec(steps=7, decode_every=3, vectors="decoded")
    assert [k for k in range(8) if spec.decodes(k)] == [0, 3, 6, 7]
    assert [k for k in range(8) if spec.keeps_vector(k)] == [0, 3, 6, 7]
    ends = spec.model_copy(update={"vectors": "ends"})
    assert [k for k in range(8) if ends.keeps_vector(k)] == [0, 7]
    every = spec.model_copy(update={"vectors": "every"})
    assert [k for k in range(8) if every.keeps_vector(k)] == list(range(8))


@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_an_lr_to_be_set_is_checked_too(lr: float) -> None:
    with pytest.raises(UserError, match="lr: "):
        check_lr(lr)
    assert check_lr(0.005) == 0.005
