"""`interpolate`: points between two rows, worked out by a real worker."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.store.reading import Reader
from tests.cli.conftest import Call, is_harmless

QUICK = ("--decode-every", "1", "--beam", "1", "--max-decoded-tokens", "6", "--device", "cpu")


@pytest.mark.usefixtures("forked_workers")
def test_the_ends_are_the_rows_and_the_middle_lies_between(call: Call, tmp_path: Path) -> None:
    database = tmp_path / "sessions.db"
    made = call("run", *QUICK, "--steps", "2", "--lr", "0.05", "--db", database)
    assert made.code == 0, made.err
    answer = call(
        "interpolate",
        "1:0",
        "1:2",
        "--points",
        "3",
        "--format",
        "jsonl",
        "--db",
        database,
        "--path",
        "spherical",
    )
    assert answer.code == 0, answer.err
    points = [json.loads(line) for line in answer.out.splitlines()]
    with Reader(database) as reader:
        rows = list(reader.all_steps(1))
        ends = [reader.vector(1, step, "z") for step in (0, 2)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert [(point["type"], point["t"]) for point in points] == [
        ("point", 0.0),
        ("point", 0.5),
        ("point", 1.0),
    ]
    for point, row in ((points[0], rows[0]), (points[2], rows[2])):
        assert point["loss"] == pytest.approx(row.loss, rel=1e-5)
        assert point["similarity"] == pytest.approx(row.similarity, rel=1e-4)
        assert point["norm"] == pytest.approx(row.z_norm, rel=1e-5)
        assert point["decoded_z"] == row.decoded_z
        assert point["decoded_prediction"] == row.decoded_prediction
        assert point["match"] == row.match
    between = float(ends[0] @ ends[1] / np.linalg.norm(ends[0]) / np.linalg.norm(ends[1]))
    half = float(np.cos(np.arccos(between) / 2))
    assert points[0]["cosine_to"] == pytest.approx(between, abs=1e-6)
    assert [points[1][name] for name in ("cosine_from", "cosine_to")] == pytest.approx([half, half], abs=1e-5)
    assert points[1]["norm"] == pytest.approx((points[0]["norm"] + points[2]["norm"]) / 2, rel=1e-5)

    table = call("interpolate", "1:0", "1:2", "--points", "2", "--db", database)
    assert table.code == 0, table.err
    header, first, last = table.out.splitlines()
    assert header.split()[:3] == ["t", "loss", "sim"]
    assert first.split()[0] == "0.000"
    assert last.split()[0] == "1.000"
    assert rows[0].decoded_prediction is not None
    assert rows[0].decoded_prediction.strip() in first
    assert is_harmless(table.out)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("1", "1:2"), "from: '1': should be RUN:STEP, for example 7:100"),
        (("1:0", "x:2"), "to: 'x:2': should be RUN:STEP, for example 7:100"),
        (("1:0", "1:9"), "to: run 1 has no z stored for step 9"),
        (("1:0", "9:0"), "run: there is no run 9 in"),
        (("1:0", "1:2", "--points", "1"), "points: 1: allowed are 2 to 1000"),
        (("1:0", "1:2", "--points", "x"), "points: 'x': should be a whole number from 1 on"),
        (("1:1", "1:2", "--path", "round"), "path: 'round': allowed are linear, spherical"),
        (("1:0", "1:2", "--path", "spherical"), "path: spherical needs two directions"),
    ],
)
def test_what_cannot_be_is_one_line_and_asks_nothing(
    call: Call, database: Path, arguments: tuple[str, ...], line: str
) -> None:
    """Row 0 of run 1 is a vector of zeros."""
    before = database.read_bytes()
    answer = call("interpolate", *arguments, "--db", database)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert line in answer.err
    assert database.read_bytes() == before
