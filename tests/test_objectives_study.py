"""The study of objectives: what its files say of runs that are made here one by one."""

import json
import statistics
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import objectives
from engine.models.loaded import LoadedBundle
from engine.search import optimize
from engine.spec import RunSpec
from engine.steps.step import Step
from tests.engine.toy import toy_bundle

STUDY = ["--targets", "3", "--inits", "2", "--steps", "4", "--only", "ce", "cosine"]


@pytest.fixture(scope="module")
def bundle() -> LoadedBundle:
    return toy_bundle()


@pytest.fixture(autouse=True)
def small_study(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objectives, "load_bundle", lambda name, device: bundle)
    monkeypatch.setattr(objectives, "RUNS_AT_ONCE", 4)  # six runs of an objective are two pieces of work
    monkeypatch.setattr(objectives, "DECODE_EVERY", 2)


def mean_loss(row: Step) -> float:
    return statistics.fmean(row.token_losses or ())


def alone(bundle: LoadedBundle, name: str, target: int, init: int) -> list[Step]:
    """The decoded rows of one run of the study, made by itself."""
    spec = RunSpec(
        init=objectives.INITS[init],
        target=objectives.TARGETS[target],
        steps=4,
        decode_every=2,
        beam=5,
        **objectives.OBJECTIVES[name].fields,
    )
    return [row for row in optimize(spec, bundle) if row.decoded_z is not None]


def test_its_table_is_what_the_runs_are_alone(
    bundle: LoadedBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    objectives.main(STUDY)
    table = Path("objectives.md").read_text("utf-8")
    assert table in capsys.readouterr().out
    for name in ("ce", "cosine"):
        (line,) = (line for line in table.splitlines() if line.startswith(f"| {name} |"))
        runs = [alone(bundle, name, target, init) for target in range(3) for init in range(2)]
        best = [min(rows, key=mean_loss) for rows in runs]
        readable = [[row for row in rows if row.measures["round_trip"] >= 0.9] for rows in runs]
        readable_ce = [min(map(mean_loss, rows)) for rows in readable if rows]
        text_ce = [min(row.measures["reread_ce"] for row in rows) for rows in runs]
        expected = [
            name,
            "6",
            "0%",
            "–",
            f"{statistics.fmean(map(mean_loss, best)):.2f}",
            f"{statistics.fmean(row.measures['round_trip'] for row in best):.2f}",
            f"{statistics.fmean(row.measures['own_ce'] for row in best):.2f}",
            "0%",
            f"{statistics.fmean(readable_ce):.2f}" if readable_ce else "–",
            f"{statistics.fmean(text_ce):.2f}",
            "0%",
        ]
        assert [cell.strip() for cell in line.strip("| ").split("|")][:-2] == expected
    assert "`python -m benchmarks.objectives --targets 3 --inits 2 --steps 4`" in table


def test_the_first_match_counts(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    said = alone(bundle, "ce", 0, 0)[0].decoded_prediction
    assert said
    monkeypatch.setattr(objectives, "TARGETS", (said, *objectives.TARGETS[1:]))
    objectives.main([*STUDY[:-2], "ce"])
    first, *_ = [json.loads(line) for line in Path("objectives.jsonl").read_text("utf-8").splitlines()[1:]]
    assert (first["target"], first["init"], first["first_match"]) == (0, 0, 0)
    assert "| ce | 6 | 17% | 0 |" in Path("objectives.md").read_text("utf-8")


def test_a_study_that_was_broken_off_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    objectives.main(STUDY)
    whole, table = Path("objectives.jsonl").read_text("utf-8"), Path("objectives.md").read_text("utf-8")
    lines = whole.splitlines(keepends=True)
    Path("objectives.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    capsys.readouterr()
    objectives.main(STUDY)
    said = capsys.readouterr().out
    assert said.startswith("ce: 3 more runs\ncosine: 4 more runs\ncosine: 2 more runs\n")
    again = Path("objectives.md").read_text("utf-8")
    assert [line.rsplit("|", 3)[0] for line in again.splitlines()] == [
        line.rsplit("|", 3)[0] for line in table.splitlines()
    ]
    objectives.main(STUDY)
    assert "more runs" not in capsys.readouterr().out


def test_results_of_another_study_are_not_mixed_in(capsys: pytest.CaptureFixture[str]) -> None:
    objectives.main(STUDY)
    kept = Path("objectives.jsonl").read_bytes()
    with pytest.raises(SystemExit) as left:
        objectives.main([*STUDY, "--beam", "1"])
    assert left.value.code == 2
    assert "objectives.jsonl: of a study with another beam; name another file" in capsys.readouterr().err
    assert Path("objectives.jsonl").read_bytes() == kept


def test_the_picture_names_every_objective() -> None:
    objectives.main(STUDY)
    picture = Path("objectives.svg").read_text("utf-8")
    texts = [
        "".join(text.itertext())
        for text in ElementTree.fromstring(picture).iter()
        if text.tag.endswith("}text")
    ]
    assert {"1 ce", "2 cosine"} <= set(texts)


def test_every_objective_is_a_run_that_can_be_asked_for() -> None:
    for objective in objectives.OBJECTIVES.values():
        assert RunSpec(**objective.fields).terms
