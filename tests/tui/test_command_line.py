"""The command line that makes a run again makes the same run."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.command_line import command_line
from engine.spec import RandomInit, RunSpec, TextInit, VectorInit
from tests.tui.conftest import RecordingControl
from tui import cli

SPECS = {
    "published": RunSpec(),
    "quotes": RunSpec(init=TextInit(text='It\'s "so" $HOME `x`.'), target="--steps=5; rm -rf ~ \\ é 中"),
    "line breaks": RunSpec(init=TextInit(text="-x\ny"), target="a\tb"),
    "random": RunSpec(init=RandomInit(seed=7), seed=3, vectors="ends"),
    "vector": RunSpec(init=VectorInit(run=3, step=17)),
    "one other term": RunSpec(weights={"cosine": 1.0}),
    "terms": RunSpec(weights={"ce": 1.0, "cosine": 0.1 + 0.2, "mse": 0.0}),
    "everything": RunSpec(
        lr=1 / 3,
        steps=7,
        norm=0.25,
        decode_every=3,
        beam=1,
        max_decoded_tokens=9,
        bundle="mini",
        device="cpu",
        dtype="bfloat16",
        encoder="cpu",
        compile=True,
        vectors="decoded",
        seed=2**62,
    ),
    "free norm": RunSpec(norm="free"),
    "objectives": RunSpec(
        continuation=("Then --this.", "a=b"),
        forcing="free",
        before=("Before.", "-x"),
        context=('"Between"',),
        weights={"ce": 1.0, "fluency": 0.0, "anchor": 1 / 3},
        schedules={"lr": "cosine:0.001:50@3", "fluency": "linear:0.5:50"},
        options={
            "noise.copies": 4,
            "noise.level": 1 / 3,
            "anchor.to": "sentences",
            "anchor.sentences": ("A=1.", "B, or C."),
            "adamw.weight_decay": 0.5,
        },
        read_every=3,
        optimizer="adamw",
        clip=1 / 7,
        measures="quick",
    ),
    "a population search": RunSpec(
        method="population",
        options={"population.seeds": "sentences", "population.sentences": ("@A dog.", "B=1")},
    ),
    "a schedule alone": RunSpec(weights={}, schedules={"ce": "warmup:5"}),
    "a language": RunSpec(bundle="sonar-llm-100m", source_lang="deu_Latn", target_lang="fra_Latn"),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_the_parser_makes_the_same_run_of_it(
    spec: RunSpec, database: Path, control: RecordingControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.queue_run", control.queue_run)
    program, *arguments = shlex.split(command_line(spec))
    assert program == "sonar-explore"
    assert cli.call([*arguments, "--detach", "--db", str(database)]) == 0
    assert [queued[0] for queued in control.queued] == [spec]


def test_defaults_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command_line(RunSpec(target="The dog was happy.", lr=0.02)))
    assert words == [
        "sonar-explore",
        "run",
        "--init=I like cheese.",
        "--target=The dog was happy.",
        "--lr=0.02",
    ]


def test_every_field_of_a_spec_is_in_it() -> None:
    """A field that is added to RunSpec and forgotten here would be lost."""
    other: Mapping[str, object] = {
        "init": RandomInit(seed=1),
        "target": "Another.",
        "weights": {"mse": 2.0},
        "lr": 0.5,
        "steps": 3,
        "norm": "free",
        "decode_every": 2,
        "beam": 2,
        "max_decoded_tokens": 4,
        "bundle": "other",
        "device": "cpu",
        "dtype": "bfloat16",
        "encoder": "cpu",
        "compile": True,
        "seed": 4,
        "vectors": "ends",
        "continuation": ("More.",),
        "forcing": "free",
        "before": ("Before.",),
        "context": ("Between.",),
        "source_lang": "deu_Latn",
        "target_lang": "deu_Latn",
        "schedules": {"lr": "warmup:5"},
        "options": {"noise.copies": 2},
        "read_every": 3,
        "optimizer": "sgd",
        "clip": 2.0,
        "measures": "none",
        "method": "population",
    }
    assert set(other) == set(RunSpec.model_fields)
    plain = command_line(RunSpec())
    for field, value in other.items():
        assert command_line(RunSpec.model_validate({field: value})) != plain, field
