"""`nearest`: a table and JSON lines of what is stored near a row's z."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import TARGET, Call, is_harmless


def test_neighbours_are_printed_nearest_first(call: Call, database: Path) -> None:
    """Run 1 has z = n · (1, 1, 1) in row n, predictions that point the other way, and a target like z."""
    answer = call("nearest", "1", "3", "--all", "--format", "jsonl", "--db", database)
    assert answer.code == 0, answer.err
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert {one["type"] for one in found} == {"neighbour"}
    kinds = [(one["kind"], one["step"], round(one["cosine"], 5)) for one in found]
    assert sorted(kinds[:4]) == [("target", 0, 1.0), ("z", 1, 1.0), ("z", 2, 1.0), ("z", 4, 1.0)]
    assert sorted(kinds[4:]) == [("prediction", 2, -1.0), ("prediction", 4, -1.0)]
    texts = {(one["kind"], one["step"]): (one["text"], one["text_step"]) for one in found}
    assert texts["target", 0] == (TARGET, 0)
    assert texts["z", 1] == ("I like cheese.", 0)
    assert texts["z", 4] == ('"Yes", it said.', 4)


def test_the_table_shows_the_nearest_of_each_run(call: Call, database: Path) -> None:
    answer = call("nearest", "1", "3", "--kind", "prediction", "--db", database)
    assert answer.code == 0, answer.err
    header, line = answer.out.splitlines()
    assert header.split() == ["cosine", "run", "step", "kind", "session", "text"]
    assert line.split()[:5] == ["-1.0000", "1", "2", "prediction", "tidy/1"]
    assert line.endswith(TARGET)
    assert is_harmless(answer.out)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("x", "1"), "run: 'x': should be the number of a run"),
        (("1", "x"), "step: 'x': should be the number of a row, from 0 on"),
        (("1", "9"), "step: 9: run 1 has no z stored for it"),
        (("9", "1"), "run: there is no run 9 in"),
        (("1", "1", "--kind", "noise"), "kind: 'noise': allowed are z, prediction, init, target"),
        (("1", "1", "--limit", "0"), "limit: '0': should be a whole number from 1 on"),
    ],
)
def test_a_bad_question_is_one_line(
    call: Call, database: Path, arguments: tuple[str, ...], line: str
) -> None:
    answer = call("nearest", *arguments, "--db", database)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert line in answer.err
