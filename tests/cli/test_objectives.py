"""Objectives on the command line: what is asked for is what is queued, and `objectives` lists all of it."""

import json
from pathlib import Path

import pytest

from engine.objective import CONSTRAINTS, TERMS
from engine.optimizers import OPTIMIZERS
from engine.options import OPTIONS
from engine.population.options import METHODS, POPULATION_OPTIONS
from engine.schedule import parse_schedule
from engine.spec import RunSpec, parse_spec
from engine.store.reading import Reader
from tui.presets import BUILT_IN, EXAMPLES, Preset, save_preset
from tui.verbs.run_options import RunOptions

from .conftest import Call


@pytest.fixture
def queued(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Queue":
    monkeypatch.setattr("engine.control.ensure_worker", lambda database, device: None)
    return Queue(call, tmp_path / "sessions.db")


class Queue:
    """Queues runs and reads back what the database holds."""

    def __init__(self, call: Call, database: Path) -> None:
        self._call = call
        self._database = database

    def __call__(self, *arguments: str) -> RunSpec:
        answer = self._call("run", *arguments, "--detach", "--db", self._database)
        assert answer.code == 0, answer.err
        with Reader(self._database) as reader:
            return RunSpec.model_validate_json(reader.run(int(answer.out)).spec)


def test_everything_can_be_asked_for(queued: Queue) -> None:
    spec = queued(
        *("--target", "One.", "--target", "Two.", "--forcing", "free"),
        *("--before", "A.", "--before", "B.", "--context", "C.", "--target-lang", "eng_Latn"),
        *("--weight", "ce=1", "--weight", "anchor=0.5", "--schedule", "fluency=linear:0.5:50"),
        *("--schedule", "lr=cosine:0:100", "--option", "anchor.to=all", "--option", "noise.copies=8"),
        *("--option", "anchor.sentences=X.", "--option", "anchor.sentences=Y."),
        *("--optimizer", "sgd", "--clip", "2", "--read-every", "5", "--measures", "quick"),
    )
    assert spec == parse_spec(
        target="One.",
        continuation=["Two."],
        forcing="free",
        before=["A.", "B."],
        context=["C."],
        target_lang="eng_Latn",
        weights={"ce": 1, "anchor": 0.5},
        schedules={"fluency": "linear:0.5:50", "lr": "cosine:0:100"},
        options={"anchor.to": "all", "noise.copies": 8, "anchor.sentences": ["X.", "Y."]},
        optimizer="sgd",
        clip=2,
        read_every=5,
        measures="quick",
    )


def test_a_population_search_can_be_asked_for(queued: Queue, call: Call, tmp_path: Path) -> None:
    options = ("--option", "population.seeds=sentences", "--option", "population.candidates=256")
    sentences = ("--option", "population.sentences=A dog.", "--option", "population.sentences=It rained.")
    spec = queued("--method", "population", *options, *sentences, "--steps", "7")
    assert spec == parse_spec(
        method="population",
        steps=7,
        options={
            "population.seeds": "sentences",
            "population.candidates": 256,
            "population.sentences": ["A dog.", "It rained."],
        },
    )
    file = tmp_path / "sentences.txt"
    file.write_text("A dog.\n\n  It rained. \n", encoding="utf-8")
    assert queued("--method", "population", "--sentences", str(file)).options == {
        "population.seeds": "sentences",
        "population.sentences": ("A dog.", "It rained."),
    }
    for content, said in ((b"\n", "has no line with a text"), (b"a\xff", "byte 1 is not UTF-8")):
        file.write_bytes(content)
        refused = call("run", "--method", "population", "--sentences", file, "--db", tmp_path / "sessions.db")
        assert (refused.code, said in refused.err, refused.err.count("\n")) == (2, True, 1)
    refused = call("run", "--method", "population", "--optimizer", "sgd", "--db", tmp_path / "sessions.db")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "sonar-explore: optimizer: sgd: a population search has adam\n"
    refused = call("run", *options, "--method", "genetic", "--db", tmp_path / "sessions.db")
    assert refused.err == "sonar-explore: method: 'genetic': should be 'gradient' or 'population'\n"
    with Reader(tmp_path / "sessions.db") as reader:
        assert len(reader.runs()) == 2


def test_a_long_text_is_split_into_its_sentences(queued: Queue) -> None:
    story = "Mr. Smith had a dog. It ran away! He was sad."
    spec = queued("--target", story, "--context", "It rained. It stopped.", "--split-sentences")
    assert spec.sentences == ("Mr. Smith had a dog.", "It ran away!", "He was sad.")
    assert spec.context == ("It rained.", "It stopped.")
    assert queued("--target", story).sentences == (story,)


def test_a_text_is_split_in_the_language_of_the_target() -> None:
    text = "Das kostet z. B. 3 Euro. Am 3. Mai kam Hr. Fuchs. Gut."
    german = ("Das kostet z. B. 3 Euro.", "Am 3. Mai kam Hr. Fuchs.", "Gut.")
    given = RunOptions(target=[text], target_lang="deu_Latn", split_sentences=True)
    fields = given.spec_fields(RunSpec())
    assert (fields["target"], fields["continuation"]) == (german[0], german[1:])
    inherited = RunOptions(target=[text], split_sentences=True).spec_fields(RunSpec(target_lang="deu_Latn"))
    assert (inherited["target"], inherited["continuation"]) == (german[0], german[1:])
    taken_away = RunOptions(target=[text], target_lang="", split_sentences=True)
    assert taken_away.spec_fields(RunSpec(target_lang="deu_Latn"))["continuation"] != german[1:]  # as English


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_preset_is_what_is_queued(queued: Queue, name: str) -> None:
    assert queued("--preset", name) == BUILT_IN[name].spec


def test_the_published_presets_have_their_other_names(queued: Queue) -> None:
    assert queued("--preset", "published CE") == RunSpec()
    assert queued("--preset", "Published Cosine").weights == {"cosine": 1.0}


def test_what_is_given_comes_before_the_preset(queued: Queue) -> None:
    robust = EXAMPLES["robust"].spec
    spec = queued("--preset", "robust", "--option", "noise.level=0.2", "--steps", "7", "--init-random", "3")
    assert spec.options == {**robust.options, "noise.level": 0.2}
    assert (spec.steps, spec.init.kind) == (7, "random")
    assert queued("--preset", "robust", "--option", "") == RunSpec()
    assert queued("--preset", "story", "--target", "A dog.").sentences == ("A dog.",)


def test_a_preset_of_ones_own_is_found_by_its_name_with_its_break_points(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.ensure_worker", lambda database, device: None)
    save_preset("mine", Preset(RunSpec(lr=0.5, clip=1.0), ("match",)))
    for arguments, clip, break_points in (
        ([], 1.0, ("match",)),
        (["--break", "changed", "--clip", ""], None, ("changed",)),
    ):
        answer = call("run", "--preset", "mine", *arguments, "--detach", "--db", tmp_path / "sessions.db")
        assert answer.code == 0, answer.err
        with Reader(tmp_path / "sessions.db") as reader:
            run = reader.run(int(answer.out))
        spec = RunSpec.model_validate_json(run.spec)
        assert (spec.lr, spec.clip, run.break_points) == (0.5, clip, break_points)


def test_every_entry_of_the_registries_is_listed_with_its_options(call: Call) -> None:
    listed = json.loads(call("objectives", "--format", "json").out)
    registries = {"terms": TERMS, "constraints": CONSTRAINTS, "methods": METHODS, "optimizers": OPTIMIZERS}
    for key, entries in registries.items():
        assert [entry["name"] for entry in listed[key]] == list(entries)
    options = {
        option["name"]: option for key in registries for entry in listed[key] for option in entry["options"]
    }
    assert set(options) == set(OPTIONS)
    assert options["noise.level"]["default"] == 0.1
    assert options["noise.level"]["allowed"] == "a number, 0 to 100"
    assert {preset["name"] for preset in listed["presets"]} == set(BUILT_IN)
    for preset in listed["presets"]:
        assert parse_spec(**preset["spec"]) == BUILT_IN[preset["name"]].spec
        assert preset["description"]
    printed = call("objectives").out
    for name in (*TERMS, *OPTIONS, *METHODS, *OPTIMIZERS, *BUILT_IN):
        assert f"  {name} " in printed


def test_what_is_said_of_options_and_presets_stands_in_one_column(call: Call) -> None:
    lines = call("objectives").out.splitlines()
    for group, names in (
        ("  population ", [f"population.{option.name}" for option in POPULATION_OPTIONS]),
        ("Presets:", list(BUILT_IN)),
    ):
        first = next(number for number, line in enumerate(lines) if line.startswith(group)) + 1
        columns = set()
        for name, line in zip(names, lines[first : first + len(names)], strict=True):
            said = line.partition(f" {name} ")[2]
            assert said, (name, line)
            columns.add(line.index(said.lstrip()))
        assert len(columns) == 1, group


def test_every_form_of_a_schedule_that_is_listed_is_one(call: Call) -> None:
    listed = json.loads(call("objectives", "--format", "json").out)["schedules"]
    numbers = {"N": "5", "END": "0.5", "FACTOR": "0.5", "PATIENCE": "3"}
    for schedule in listed:
        text = ":".join(numbers.get(part, part) for part in schedule["form"].split(":"))
        assert str(parse_schedule(text, of="lr")) == text
        if "terms" in schedule["of"]:
            parse_schedule(text, of="ce")


def test_a_name_that_is_hostile_is_listed_harmlessly(call: Call) -> None:
    save_preset("[red]mine", Preset(RunSpec()))
    assert "  [red]mine" in call("objectives").out
