"""`compare` in a pipe: the same as on the screen, as text and as JSON, whatever the texts hold."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from engine.spec import RunSpec
from engine.store.records import Status
from engine.store.run_changes import Event
from engine.store.writing import add_run

from .conftest import HOSTILE, TARGET, Call, is_harmless, record, recorder_of, run_program


def section(out: str, title: str) -> list[str]:
    """The lines of a part of the table, without its title."""
    return next(part for part in out.split("\n\n") if part.startswith(title)).splitlines()[1:]


def add_other(database: Path) -> int:
    """Run 4: like run 1 but with another learning rate and another end, without a match."""
    run = add_run(database, RunSpec(steps=4, decode_every=2, lr=0.5), device="cpu", session="tidy")
    zs = {0: (0.0, 0.0, 1.0), 3: (0.0, 3.0, 4.0)}
    with recorder_of(database) as recorder:
        recorder.start(run, digest="fedcba9876543210", step=0, vectors={})
        for number in range(4):
            texts: dict[str, object] = {}
            if number == 2:
                text = TARGET.replace("girl", "dog")
                texts = {"decoded_z": "z", "decoded_prediction": text, "match": False}
            vectors = {"z": np.array(zs[number], np.float32)} if number in zs else {}
            recorder.record_step(record(run, number, 4, elapsed_ms=20.0, **texts), vectors)
        recorder.end(run, 4, Status.STOPPED, Event("stopped"))
    return run


def test_a_cosine_that_rounds_to_zero_has_no_minus(call: Call, database: Path) -> None:
    run = add_run(database, RunSpec(steps=1), device="cpu", session="tidy")
    with recorder_of(database) as recorder:
        recorder.start(run, digest="fedcba9876543210", step=0, vectors={})
        # Run 1 ends with (4, 4, 4): the cosine is -0.001 / (√2 · √3) = -0.0004.
        vectors = {"z": np.array((1.0, -1.0, -0.001), np.float32)}
        recorder.record_step(record(run, 0, 1), vectors)
        recorder.end(run, 0, Status.STOPPED, Event("stopped"))
    answer = call("compare", "1", str(run), "--db", database)
    cells = [line.split() for line in section(answer.out, "cosines")]
    assert cells[1:3] == [["z", "of", "A", "1.000", "0.000"], ["z", "of", "B", "0.000", "1.000"]]


def test_the_table_shows_every_part(call: Call, database: Path) -> None:
    add_other(database)
    answer = call("compare", "1", "4", "--db", database)
    assert (answer.code, answer.err) == (0, "")
    assert is_harmless(answer.out)
    first, second = answer.out.splitlines()[:2]
    assert first == "A  run 1, tidy #1 bold, finished, loss 0.718, sim 0.090, match, first at step 2"
    assert second == "B  run 4, tidy #2, stopped, loss 0.898, sim 0.080, no match"
    specs = section(answer.out, "specs")
    assert ["≠", "lr", "A", "0.01"] in [line.split() for line in specs]
    assert ["B", "0.5"] in [line.split() for line in specs]
    assert ["target", *TARGET.split()] in [line.split() for line in specs]
    assert [line.split() for line in section(answer.out, "loss by step")] == [
        ["step", "A", "B"],
        ["0", "3.592", "3.592"],
        ["1", "1.796", "1.796"],
        ["2", "1.197", "1.197"],
        ["3", "0.898", "0.898"],
        ["4", "0.718"],
    ]
    assert section(answer.out, "predictions at step 4") == [
        f"A  step 4, match: {TARGET}",
        f"B  step 2, no match: {TARGET.replace('girl', 'dog')}",
        '   not said by A: "dog"',
        '   only said by A: "girl"',
    ]
    # Run 1 ends with (4, 4, 4), run 4 with (0, 3, 4): 28 / (5 · 4√3) = 0.808.
    assert [line.split() for line in section(answer.out, "cosines")] == [
        ["A", "B"],
        ["z", "of", "A", "1.000", "0.808"],
        ["z", "of", "B", "0.808", "1.000"],
        ["target", "of", "A", "1.000", "0.808"],
    ]
    plane = section(answer.out, "principal plane")
    assert re.fullmatch(r"x has \d+\.\d % of the variance, y \d+\.\d %", plane[0])
    assert [line.split(":")[0] for line in plane[1:]] == ["A  step 0 to 4", "B  step 0 to 3"]


def test_curves_can_be_aligned_by_time_and_by_match(call: Call, database: Path) -> None:
    add_other(database)
    by_time = call("compare", "1", "4", "--align", "time", "--db", database).out
    lines = [line.split() for line in section(by_time, "loss by seconds")]
    assert lines[0] == ["seconds", "A", "B"]
    # Run 1 takes 5 ms a step and ends at 0.020 s, run 4 takes 20 ms a step and ends at 0.060 s.
    assert lines[1] == ["0.000", "3.592", "3.592"]
    assert ["0.015", "0.898", "3.592"] in lines
    assert lines[-1] == ["0.060", "0.898"]
    by_match = section(call("compare", "1", "4", "--align", "match", "--db", database).out, "loss by steps")
    assert [line.split() for line in by_match[1:4]] == [["-2", "3.592"], ["-1", "1.796"], ["0", "1.197"]]
    assert by_match[-1] == "B has no match"


def test_json_is_one_object_and_nothing_else(call: Call, database: Path) -> None:
    add_other(database)
    out = call(
        "compare", "4", "1", "--align", "match", "--step", "3", "--format", "json", "--db", database
    ).out
    assert out.count("\n") == 1
    assert out.isascii()
    found = json.loads(out)
    assert list(found) == [
        "type",
        "runs",
        "align",
        "specs",
        "curves",
        "step",
        "predictions",
        "final_z",
        "cosines",
        "plane",
    ]
    assert (found["type"], found["align"], found["step"]) == ("comparison", "match", 3)
    assert [run["run"] for run in found["runs"]] == [4, 1]
    assert found["specs"][0] == {"field": "lr", "values": [0.5, 0.01], "differs": True}
    other, first = found["curves"]
    assert other["position"] is None
    assert first["position"] == [-2, -1, 0, 1, 2]
    assert first["step"] == [0, 1, 2, 3, 4]
    assert first["loss"] == pytest.approx([3.592 / (step + 1) for step in range(5)])
    assert first["lr"] == [0.01] * 4 + [None]
    text = TARGET.replace("girl", "dog")
    assert found["predictions"] == [
        {"run": 4, "step": 2, "decoded_prediction": text, "match": False, "changed": []},
        {
            "run": 1,
            "step": 2,
            "decoded_prediction": TARGET,
            "match": True,
            "changed": [[TARGET.index("girl"), TARGET.index("girl") + 4]],
        },
    ]
    assert found["final_z"] == [
        {"run": 4, "step": 3, "dimension": 3},
        {"run": 1, "step": 4, "dimension": 3},
    ]
    assert found["cosines"][0]["kind"] == "z"
    assert found["cosines"][0]["runs"] == [4]
    assert found["cosines"][0]["cosines"] == pytest.approx([1, 28 / (5 * 48**0.5)])
    # Of run 1's z's, (0, 0, 0) to (4, 4, 4), and run 4's two.
    assert [path["steps"] for path in found["plane"]["paths"]] == [[0, 3], [0, 1, 2, 3, 4]]
    points = np.array([(0, 0, 1), (0, 3, 4), *((k, k, k) for k in range(5))], np.float64)
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    assert found["plane"]["explained"] == pytest.approx((values[:2] / values.sum()).tolist())


def test_hostile_texts_and_runs_without_vectors_in_a_real_pipe(database: Path) -> None:
    table = run_program("compare", "2", "3", "1", "--db", database)
    assert (table.returncode, table.stderr) == (0, "")
    assert is_harmless(table.stdout)
    assert "[bold]a|b[/bold]" in table.stdout
    assert "A B without vectors" in section(table.stdout, "cosines")
    assert "A B without vectors" in section(table.stdout, "principal plane")
    found = run_program("compare", "2", "3", "1", "--format", "json", "--db", database)
    assert is_harmless(found.stdout)
    assert json.loads(found.stdout)["predictions"][0]["decoded_prediction"] == HOSTILE


def test_at_a_step_before_anything_was_decoded(call: Call, database: Path) -> None:
    out = call("compare", "1", "3", "--db", database).out
    assert "B  not decoded" in section(out, "predictions")
    found = json.loads(call("compare", "1", "3", "--format", "json", "--db", database).out)
    assert found["predictions"][1] == {
        "run": 3,
        "step": None,
        "decoded_prediction": None,
        "match": None,
        "changed": [],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1"], "run: 1 given; 2 to 8 can be compared"),
        (list("123412345"), "run: 1: is named twice; 2 to 8 different runs"),
        (["1", "x"], "run: 'x': should be the number of a run"),
        (["1", "99"], "run: there is no run 99 in"),
        (["1", "2", "--step", "-1"], "step: -1: should be 0 or more"),
        (["1", "2", "--align", "date"], "date"),
        (["1", "2", "--format", "csv"], "csv"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    call: Call, database: Path, arguments: list[str], said: str
) -> None:
    answer = call("compare", *arguments, "--db", database)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_comparing_changes_no_byte(call: Call, database: Path) -> None:
    before = database.read_bytes()
    assert call("compare", "1", "2", "--db", database).code == 0
    assert database.read_bytes() == before
