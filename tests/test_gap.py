"""The gap of a run: its rows, folded; the newest state in words."""

import json
from pathlib import Path

import pytest

from engine.gap import GapIndex, all_gap_rows, folded, headline
from engine.measures import MEASURES
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import SentenceRecord, Status, StepRecord
from engine.store.run_changes import Event
from engine.store.writing import add_run
from tests.cli.conftest import Call, call, record  # noqa: F401  # a fixture
from tui.screens.gap import GapSource

TARGET = "Once upon a time, there was a little girl named Lily."


def decoded(run: int, step: int, z: str, prediction: str, **values: object) -> StepRecord:
    match = prediction == TARGET
    return record(run, step, 100, decoded_z=z, decoded_prediction=prediction, match=match, **values)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Run 1: rows 0 … 40, decoded at every tenth; its text follows at step 40. Run 2: nothing measured."""
    path = tmp_path / "sessions.db"
    run = add_run(path, RunSpec(), device="cpu", session="tests")
    old = add_run(path, RunSpec(weights={"cosine": 1.0}), device="cpu", session="tests")
    recorder = Recorder(path, "cpu", report=print)
    said = {
        0: ("I like cheese.", "I eat cheese.", "I eat cheese.", 0.98, 3.5),
        10: ("\x1b[2Jx", TARGET, "He ran.", 0.12, 6.25),
        20: ("\x1b[2Jx", TARGET, "He ran.", 0.125, 6.0),
        30: ("y", TARGET, TARGET.replace("girl", "dog"), 0.5, 1.0),
        40: ("z", TARGET, TARGET, 0.97, 0.25),
    }
    for step in range(41):
        if step not in said:
            recorder.record_step(record(run, step, 100), {})
            continue
        z, prediction, reread, trip, ce = said[step]
        row = decoded(run, step, z, prediction, measures={"round_trip": trip, "reread_ce": ce})
        recorder.record_step(row, {}, reread_prediction=reread)
    row = decoded(old, 0, "a", "Lily Lily Lily Lily", terms={"cosine": -0.5})
    recorder.record_step(row, {}, token_losses=[1.0, 2.0])
    recorder.end(old, 0, Status.STOPPED, Event("stopped"))
    recorder.close()
    return path


def test_rows_are_the_decoded_ones_and_equal_ones_are_folded(database: Path) -> None:
    with Reader(database) as reader:
        rows = list(all_gap_rows(reader, reader.run(1)))
        (old,) = all_gap_rows(reader, reader.run(2))
    assert [row.step for row in rows] == [0, 10, 20, 30, 40]
    assert [(row.match, row.reread_match) for row in rows] == [
        (False, False), (True, False), (True, False), (True, False), (True, True),
    ]  # fmt: skip
    assert (rows[1].ce, rows[1].reread_ce, rows[1].round_trip) == (3.592 / 11, 6.25, 0.12)
    groups = list(folded(rows))
    assert [(group.first_step, group.newest.step, group.count) for group in groups] == [
        (0, 0, 1), (10, 20, 2), (30, 30, 1), (40, 40, 1),
    ]  # fmt: skip
    # Without the term ce it is the mean over the target's tokens.
    assert (old.ce, old.reread_match, old.reread_prediction, old.round_trip) == (1.5, None, None, None)


def test_the_index_reads_on_and_stops_where_a_replay_stands(database: Path) -> None:
    whole, early = GapIndex(1), GapIndex(1, until=25)
    with Reader(database) as reader:
        whole.update(reader)
        early.update(reader)
        assert list(whole.last_steps) == [0, 20, 30, 40]
        assert [row.step for row in whole.rows(reader, range(1, 3))] == [20, 30]
        assert (list(early.last_steps), list(early.counts)) == ([0, 20], [1, 2])
    recorder = Recorder(database, "cpu", report=print)
    recorder.record_step(decoded(1, 50, "z", TARGET), {}, reread_prediction=TARGET)
    with Reader(database) as reader:
        whole.update(reader)
        early.update(reader)
        assert (list(whole.first_steps)[-1], list(whole.last_steps)[-1]) == (40, 50)
        assert list(early.last_steps) == [0, 20]
    recorder.record_step(
        decoded(1, 10, "other", "Other.", state_hash="ff"), {}
    )  # it has gone another way from step 10 on
    recorder.close()
    with Reader(database) as reader:
        whole.update(reader)
        assert (list(whole.last_steps), list(whole.counts)) == ([0, 10], [1, 1])


def long_run(database: Path) -> int:
    """A run of 12,000 decoded rows, of which every three have the same texts."""
    run = add_run(database, RunSpec(decode_every=1, steps=12_000), device="cpu", session="long")
    recorder = Recorder(database, "cpu", report=print)
    recorder.write(
        lambda connection: connection.executemany(
            "INSERT INTO step (run, step, loss, terms, decoded_z, decoded_prediction, match)"
            " VALUES (?, ?, 1.0, '{}', ?, 'a', 0)",
            [(run, step, str(step // 3)) for step in range(12_000)],
        )
    )
    recorder.close()
    return run


def test_a_long_run_is_read_in_parts_from_its_end(database: Path) -> None:
    run = long_run(database)
    index, early = GapIndex(run), GapIndex(run, until=600)
    with Reader(database) as reader:
        assert index.update(reader) == 0
        assert index.is_behind
        assert (index.last_steps[-1], len(index)) == (11_999, 167)  # 500 rows
        (newest,) = index.rows(reader, range(166, 167))
        assert (newest.step, newest.decoded_z) == (11_999, "3999")
        before = len(index)
        assert index.update(reader) == len(index) - before > 0
        assert index.is_behind
        while index.is_behind:
            index.update(reader)
        while early.newest is None or early.is_behind:
            early.update(reader)
    assert list(index.first_steps) == list(range(0, 12_000, 3))
    assert set(index.counts) == {3}
    assert (early.last_steps[-1], early.first_steps[0], len(early)) == (600, 0, 201)


def test_the_rows_in_view_are_read_first_and_stay_those_when_older_ones_come(database: Path) -> None:
    source = GapSource(database, long_run(database), None)
    first = source.look(range(0, 10), is_at_top=False)
    assert first.is_behind
    assert max(first.groups.rows) == first.groups.last_steps[-1] == 11_999
    looked_at = range(50, 60)
    there = set(first.groups.last_steps[50:60])
    assert set(source.look(looked_at, is_at_top=False).groups.rows) == there
    top = source.look(range(0, 10), is_at_top=True).groups
    assert set(top.rows) == set(top.last_steps[:10])


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (0, "neither the vector nor its text makes the model say the target (round trip 0.98)"),
        (20, "the vector carries the prediction, its text does not (round trip 0.12)"),
        (40, "the text of z carries the prediction (round trip 0.97)"),
    ],
)
def test_the_headline_says_what_carries_the_prediction(database: Path, step: int, words: str) -> None:
    with Reader(database) as reader:
        run = reader.run(1)
        newest = next(all_gap_rows(reader, run, after=step - 1))
    assert headline(run, newest) == words
    assert headline(run, None) == "no row has been decoded yet"


def test_several_sentences_are_one_prediction(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    spec = RunSpec(target="One.", continuation=("Two.",), weights={"cosine": 1.0})
    run = add_run(path, spec, device="cpu", session="tests")
    recorder = Recorder(path, "cpu", report=print)
    row = record(run, 0, 9, decoded_z="a", decoded_prediction="One. Two.", match=True, terms={"cosine": 0.1})
    sentences = [SentenceRecord("One.", 0.5, True), SentenceRecord("Two.", 1.0, True)]
    recorder.record_step(row, {}, sentences=sentences, reread_prediction="One. Two.")
    recorder.close()
    with Reader(path) as reader:
        (only,) = all_gap_rows(reader, reader.run(run))
    assert (only.ce, only.match, only.reread_match) == (0.75, True, True)


def test_the_command_prints_each_group_once_and_marks_words(call: Call, database: Path) -> None:  # noqa: F811
    answer = call("gap", "1", "--db", database)
    assert (answer.code, answer.err) == (0, "")
    blocks = answer.out.split("\n\n")
    assert blocks[0].splitlines() == [
        "run 1: the text of z carries the prediction (round trip 0.97)",
        f"target {TARGET}",
    ]
    assert blocks[2].splitlines() == [
        "step 10–20 ×2   round trip 0.125   CE from z 0.1710, from its text 6.0000",
        "  z says         ␛[2Jx",
        f"✓ from z         {TARGET}",
        "· from its text  He ran.",
    ]
    assert blocks[3].splitlines()[-1].endswith("named Lily.   [not in the target: dog]")
    assert len(blocks) == 5


def test_a_run_without_measures_says_how_to_get_them(call: Call, database: Path) -> None:  # noqa: F811
    lines = call("gap", "2", "--db", database).out.splitlines()
    assert "what it says from the text of z was not measured" in lines[0]
    assert "`sonar-explore fork 2 --step 0 --measures all`" in lines[1]
    assert lines[-1] == "  from its text  not measured"


def test_as_json_every_decoded_row_is_an_object(call: Call, database: Path) -> None:  # noqa: F811
    lines = [
        json.loads(line) for line in call("gap", "1", "--format", "jsonl", "--db", database).out.splitlines()
    ]
    assert [line["type"] for line in lines] == ["gap"] * 5 + ["gap_summary"]
    assert lines[1] == {
        "type": "gap", "run": 1, "step": 10, "decoded_z": "\x1b[2Jx", "decoded_prediction": TARGET,
        "match": True, "ce": 3.592 / 11, "reread_prediction": "He ran.", "reread_match": False,
        "reread_ce": 6.25, "round_trip": 0.12,
    }  # fmt: skip
    assert "carries the prediction" in lines[-1]["headline"]
    (old, _) = [
        json.loads(line) for line in call("gap", "2", "--format", "jsonl", "--db", database).out.splitlines()
    ]
    assert (old["reread_prediction"], old["reread_ce"], old["round_trip"]) == (None, None, None)
    answer = call("gap", "9", "--db", database)
    assert (answer.code, answer.out) == (2, "")
    assert "there is no run 9" in answer.err


def test_what_the_gap_reads_are_measures_that_there_are() -> None:
    assert {"round_trip", "reread_ce", "reread_match"} <= set(MEASURES)
