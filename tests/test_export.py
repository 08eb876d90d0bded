"""Runs as files, read back by other programs' rules."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt
from safetensors.numpy import load_file

from engine.errors import UserError
from engine.export import (
    Format,
    format_of,
    json_line,
    markdown_cell,
    markdown_title,
    runs_of_session,
    short_number,
    step_object,
    write_file,
    write_text,
    write_z,
)
from engine.measures import MEASURES
from engine.objective import TERMS
from engine.spec import RunSpec
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import SentenceRecord, StepRecord
from engine.store.writing import add_run

AWKWARD = "=cmd|' /C calc'!A0, \"quoted\"\r\nnext\tline \x1b[31m \u202e | \\| ` <b>&amp; 🙂"


def _step(run: int, number: int, text: str | None = None) -> StepRecord:
    return StepRecord(
        run=run,
        step=number,
        loss=1.5,
        terms={"ce": 1.0, "cosine": -0.5},
        similarity=0.5,
        grad_norm=None,
        z_norm=0.2,
        lr=0.01,
        elapsed_ms=3.25,
        decoded_z=text,
        decoded_prediction=text,
        match=None if text is None else False,
        state_hash="00ff",
    )


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Run 1 with vectors and awkward texts, run 2 with neither."""
    path = tmp_path / "sessions.db"
    weights = {"ce": 1.0, "cosine": 0.1}
    first = add_run(path, RunSpec(weights=weights), device="cpu", session="tests", name="first")
    second = add_run(path, RunSpec(target="A | b."), device="cpu", session="tests")
    recorder = Recorder(path, "cpu", report=print)
    recorder.start(first, digest="d", step=0, vectors={"target": np.array([7, 8], np.float32)})
    for number in range(3):
        row = _step(first, number, AWKWARD if number == 1 else None)
        vectors = {"z": np.array([number, 0.5], np.float32)}
        recorder.record_step(row, vectors | ({"prediction": np.ones(2, np.float32)} if number == 1 else {}))
    recorder.record_step(_step(second, 0), {})
    recorder.close()
    with Reader(path) as reader:
        yield reader


def _text(reader: Reader, kind: Format, *runs: int) -> str:
    file = io.StringIO(newline="")
    write_text(reader, runs, kind, file)
    return file.getvalue()


def test_json_never_holds_nan_nor_a_control_character() -> None:
    row = _step(1, 0)._replace(
        loss=float("nan"),
        terms={"ce": float("inf")},
        similarity=None,
        decoded_z="\x7f\x1b\u2028",
        decoded_prediction=AWKWARD,
    )
    line = json_line(step_object(row))
    assert line.isascii()
    assert line.isprintable()
    values = json.loads(line)
    assert (values["loss"], values["ce"], values["cosine"], values["similarity"]) == (None,) * 4
    assert (values["decoded_z"], values["decoded_prediction"]) == ("\x7f\x1b\u2028", AWKWARD)


def test_csv_comes_back_exactly(reader: Reader) -> None:
    rows = list(csv.DictReader(io.StringIO(_text(reader, Format.CSV, 1, 2), newline="")))
    assert [(row["run"], row["step"]) for row in rows] == [("1", "0"), ("1", "1"), ("1", "2"), ("2", "0")]
    assert rows[1]["decoded_prediction"] == AWKWARD
    assert (rows[1]["ce"], rows[1]["cosine"], rows[1]["mse"]) == ("1.0", "-0.5", "")
    assert (rows[1]["match"], rows[0]["match"], rows[0]["grad_norm"]) == ("false", "", "")
    assert (rows[0]["elapsed_ms"], rows[0]["state_hash"], rows[0]["z_norm"]) == ("3.25", "00ff", "0.2")


def test_jsonl_is_every_row_and_a_summary_of_each_run(reader: Reader) -> None:
    lines = [json.loads(line) for line in _text(reader, Format.JSONL, 2, 1, 2).splitlines()]
    assert [(line["run"], line["type"]) for line in lines] == [
        (2, "step"),
        (2, "summary"),
        *[(1, "step")] * 3,
        (1, "summary"),
    ]


def test_markdown_is_one_table_for_each_run(reader: Reader) -> None:
    html = MarkdownIt("commonmark").enable("table").render(_text(reader, Format.MARKDOWN, 1, 2))
    assert html.count("<table>") == 2
    assert "<h3>Decoder CE + 0.1 Cosine Loss (lr=0.01, steps=100)</h3>" in html
    # Run 1 shows its decoded row and its last one, run 2 its only one.
    assert html.count("<td") == 3 * 5
    assert "A | b." in html


@pytest.mark.parametrize(
    "text",
    [
        AWKWARD,
        "a|b\\|c\\\\|d\\",
        "![x](http://example.org/y.png) [l](javascript:x) [r]: x",
        "<script>x</script> <!-- &lt; &#x7c; `",
        "``` ~~~ # - > | --- |",
        "",
    ],
)
def test_a_cell_cannot_break_out_of_its_table(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {markdown_cell(text)} | end |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(table)
    assert [token.type for token in tokens].count("td_open") == 2
    cells = [token for token in tokens if token.type == "inline"][2:]
    children = [child for cell in cells for child in cell.children or []]
    assert {child.type for child in children} <= {"text", "text_special"}
    shown = "".join(child.content for child in cells[0].children or [])
    if text.isprintable():
        assert shown == text.strip()
    assert shown.isprintable()
    assert cells[1].content == "end"


@pytest.mark.parametrize(
    ("weights", "title"),
    [
        ({"ce": 1.0}, "### Decoder CE Loss (lr=0.01, steps=100)"),
        ({"cosine": 1.0, "ce": 0.0}, "### Cosine Loss (lr=0.01, steps=100)"),
        ({"mse": 2.5}, "### 2.5 MSE Loss (lr=0.01, steps=100)"),
    ],
)
def test_titles_are_the_published_ones(tmp_path: Path, weights: dict[str, float], title: str) -> None:
    run = add_run(tmp_path / "a.db", RunSpec(weights=weights), device="cpu", session="s")
    with Reader(tmp_path / "a.db") as reader:
        assert markdown_title(reader.run(run)) == title


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.5921, "3.592"),
        (-0.05, "-0.050"),
        (0.0, "0.000"),
        (0.00012, "1.20e-04"),
        (None, ""),
        (float("inf"), ""),
    ],
)
def test_numbers_have_three_decimals_unless_they_would_vanish(value: float | None, shown: str) -> None:
    assert short_number(value) == shown


def test_vectors_come_back_with_their_steps_and_specs(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "z.safetensors"
    write_file(reader, [1], path, Format.SAFETENSORS)
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["run_1.z"], np.array([[0, 0.5], [1, 0.5], [2, 0.5]], np.float32))
    assert tensors["run_1.z"].dtype == np.float32
    assert tensors["run_1.z_steps"].tolist() == [0, 1, 2]
    assert tensors["run_1.prediction_steps"].tolist() == [1]
    assert tensors["run_1.target"].tolist() == [[7, 8]]
    header_length = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + header_length])["__metadata__"]
    about = json.loads(metadata["run_1"])
    assert (about["session"], about["name"]) == ("tests", "first")
    assert RunSpec.model_validate(about["spec"]).weights == {"ce": 1.0, "cosine": 0.1}


def test_a_run_without_vectors_is_refused_and_leaves_no_file(reader: Reader, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="run 2 has no vectors"):
        write_file(reader, [1, 2], tmp_path / "z.safetensors", Format.SAFETENSORS)
    assert sorted(tmp_path.iterdir()) == before


def test_an_export_that_cannot_be_made_leaves_the_old_file(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(UserError, match="there is no run 99"):
        write_file(reader, [1, 99], path, Format.CSV, force=True)
    assert path.read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob(".*.tmp"))


def test_places_that_are_no_files_are_refused(reader: Reader, tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path, "is not an ordinary file"),
        (Path("/dev/null"), "is not an ordinary file"),
        (reader.path, "is the database itself"),
        (tmp_path / "missing" / "a.csv", "No such file or directory"),
    ):
        with pytest.raises(UserError, match=reason):
            write_file(reader, [1], path, Format.CSV, force=True)
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_is_one_line_and_leaves_nothing(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(self: Path, target: Path) -> Path:
        raise OSError(28, os.strerror(28), str(self))

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(UserError, match=r"^to: .*/a\.csv: cannot be written: No space left on device$"):
        write_file(reader, [1], tmp_path / "a.csv", Format.CSV)
    assert not list(tmp_path.glob("*.csv*"))
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("name", ["z.npy", "Z.NPY", "z.safetensors"])
def test_the_z_of_one_row_comes_back(reader: Reader, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_z(reader, 1, 2, path) == 2
    z = np.load(path, allow_pickle=False) if name.lower().endswith("npy") else load_file(path)["z"]
    np.testing.assert_array_equal(z, np.array([2, 0.5], np.float32))
    assert z.dtype == np.float32


def test_a_z_that_cannot_be_written_is_refused_and_leaves_nothing(reader: Reader, tmp_path: Path) -> None:
    there = tmp_path / "there.npy"
    there.write_text("old", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    for step, path, reason in (
        (2, tmp_path / "z.txt", r"should end in one of \.npy, \.safetensors$"),
        (2, tmp_path / "z", r"should end in one of"),
        (9, tmp_path / "z.npy", "the z of step 9 of run 1 was not kept"),
        (2, there, "is there already; give another name"),
        (2, tmp_path / "missing" / "z.npy", "cannot be written: No such file or directory"),
    ):
        with pytest.raises(UserError, match=reason):
            write_z(reader, 1, step, path)
    assert sorted(tmp_path.iterdir()) == before
    assert there.read_text(encoding="utf-8") == "old"


def test_parquet_comes_back_with_types(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    write_file(reader, [1, 2], path, Format.PARQUET)
    table = pq.read_table(path)
    assert {field.name: str(field.type) for field in table.schema} == {
        **dict.fromkeys(("run", "step"), "int64"),
        **dict.fromkeys(("loss", *TERMS, "similarity", "lr"), "double"),
        **dict.fromkeys(("grad_norm", "z_norm", "elapsed_ms", *MEASURES), "double"),
        **dict.fromkeys(("decoded_z", "decoded_prediction", "state_hash", "reread_prediction"), "string"),
        "match": "bool",
        "sentences": "list<element: struct<text: string, ce: double, match: bool>>",
    }
    rows = table.to_pylist()
    assert [(row["run"], row["step"]) for row in rows] == [(1, 0), (1, 1), (1, 2), (2, 0)]
    assert rows[1]["decoded_prediction"] == AWKWARD
    assert (rows[1]["ce"], rows[1]["cosine"], rows[1]["mse"]) == (1.0, -0.5, None)
    assert (rows[1]["match"], rows[0]["match"], rows[0]["state_hash"]) == (False, None, "00ff")
    about = json.loads(table.schema.metadata[b"sonar-explore"])
    assert [(run["run"], run["name"], run["session"]) for run in about] == [
        (1, "first", "tests"),
        (2, None, "tests"),
    ]
    assert RunSpec.model_validate(about[1]["spec"]).target == "A | b."


def test_parquet_is_written_in_groups_of_rows(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.export.parquet._ROWS_IN_GROUP", 2)
    write_file(reader, [1, 2], tmp_path / "runs.parquet", Format.PARQUET)
    file = pq.ParquetFile(tmp_path / "runs.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 2]
    assert file.read().column("step").to_pylist() == [0, 1, 2, 0]


def test_a_session_is_its_runs(reader: Reader) -> None:
    assert runs_of_session(reader, "tests") == [1, 2]
    with pytest.raises(UserError, match="there is no session 'test' in"):
        runs_of_session(reader, "test")


@pytest.mark.parametrize("kind", Format)
def test_every_format_is_written_whole_or_not_at_all(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Format
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise UserError("database: cannot be read: disk I/O error")

    monkeypatch.setattr(Reader, "steps", unreadable)
    monkeypatch.setattr(Reader, "vectors", unreadable)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="disk I/O error"):
        write_file(reader, [1], tmp_path / "runs", kind)
    assert sorted(tmp_path.iterdir()) == before


def test_a_binary_format_is_not_written_as_text(reader: Reader) -> None:
    with pytest.raises(UserError, match="safetensors is binary"):
        _text(reader, Format.SAFETENSORS, 1)


def test_the_name_of_the_file_chooses_the_format() -> None:
    assert format_of(Path("a/b.MD")) is Format.MARKDOWN
    with pytest.raises(UserError, match=r"a\.xlsx: the name should end in one of \.md, \.csv"):
        format_of(Path("a.xlsx"))


def test_measures_sentences_and_what_the_text_predicts_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "measured.db"
    weights = {"ce": 1.0, "fluency": 0.5}
    run = add_run(path, RunSpec(continuation=("Two.",), weights=weights), device="cpu", session="tests")
    recorder = Recorder(path, "cpu", report=print)
    row = _step(run, 0, AWKWARD)._replace(measures={"round_trip": 0.125})
    sentences = [SentenceRecord(AWKWARD, None, False), SentenceRecord("Two.", 0.5, True)]
    recorder.record_step(row, {}, sentences=sentences, reread_prediction="a|b")
    recorder.record_step(_step(run, 1), {})
    recorder.close()
    stored = [{"text": AWKWARD, "ce": None, "match": False}, {"text": "Two.", "ce": 0.5, "match": True}]
    with Reader(path) as reader:
        first, second, _ = map(json.loads, _text(reader, Format.JSONL, run).splitlines())
        assert first["measures"] == dict.fromkeys(MEASURES) | {"round_trip": 0.125}
        assert (first["sentences"], first["reread_prediction"]) == (stored, "a|b")
        assert (second["measures"], second["sentences"], second["reread_prediction"]) == (None, None, None)
        table = list(csv.DictReader(io.StringIO(_text(reader, Format.CSV, run), newline="")))
        assert (table[0]["round_trip"], table[0]["reread_ce"], table[1]["round_trip"]) == ("0.125", "", "")
        assert (json.loads(table[0]["sentences"]), table[0]["reread_prediction"]) == (stored, "a|b")
        write_file(reader, [run], tmp_path / "a.parquet", Format.PARQUET)
        frame = pq.read_table(tmp_path / "a.parquet").to_pylist()
        assert (frame[0]["sentences"], frame[0]["round_trip"], frame[1]["sentences"]) == (stored, 0.125, None)
        markdown = _text(reader, Format.MARKDOWN, run)
        html = MarkdownIt("commonmark").enable("table").render(markdown)
        assert html.count("<table>") == 2
        assert "Decoder CE + 0.5 fluency Loss" in html
        assert "<td>a|b</td>" in html
        report = _text(reader, Format.HTML, run)
        assert "Predicted from its text" in report
        assert "r-trip: cosine of z" in report
