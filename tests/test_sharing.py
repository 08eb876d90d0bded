"""A session handed on as a file: nothing is lost, and a file of somebody else does nothing but hold data."""

import io
import json
import pickle
import random
import sqlite3
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.sharing.importing import import_session
from engine.sharing.packing import pack_session
from engine.spec import RunSpec, VectorInit
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import Status, StepRecord
from engine.store.run_changes import Event
from engine.store.writing import add_command, add_run

SESSION = "Lily"
HOSTILE = "\x1b[31m [bold]=cmd|'!A0\u202e\n\x07 🙂 \\ \" \u2028"

OWN_TABLES = {"alembic_version", "worker", "sqlite_sequence"}
"""What belongs to a database, not to a session."""


def _spec(**fields: Any) -> RunSpec:
    return RunSpec(steps=3, **fields)


def _row(run: int, step: int, text: str | None) -> StepRecord:
    return StepRecord(
        run=run,
        step=step,
        loss=1 / 3 + step,
        terms={"ce": 1 / 3 + step, "mse": None},
        similarity=0.1 * step,
        grad_norm=1e-300,
        z_norm=0.25,
        lr=0.01,
        elapsed_ms=3.25,
        decoded_z=text,
        decoded_prediction=text,
        match=None if text is None else step == 2,
        state_hash="00ff",
    )


def _fill(path: Path) -> None:
    """Session Other: run 1. Lily: run 2 with everything, 3 forked from it and going on, 4 from run 1."""
    other = add_run(path, _spec(), device="cpu", session="Other")
    first = add_run(path, _spec(weights={"ce": 1.0, "mse": 0.5}), device="cpu", session=SESSION, name=HOSTILE)
    fork = add_run(path, _spec(init=VectorInit(run=first, step=2)), device="cpu", session=SESSION)
    outside = add_run(path, _spec(init=VectorInit(run=other, step=1)), device="cuda:1", session=SESSION)
    deleted = add_run(path, _spec(), device="cpu", session=SESSION)
    add_command(path, device="cpu", kind="pause", run=first, arguments={"at": 2})
    add_command(path, device="cpu", kind="set", run=fork, arguments={"lr": 0.02})
    generator = np.random.default_rng(7)
    recorder = Recorder(path, "cpu", report=print)
    for run in (other, first, fork, outside, deleted):
        initial = {kind: generator.normal(size=8).astype(np.float32) for kind in ("init", "target")}
        recorder.start(
            run, digest="d" * 64, step=0, vectors=initial, environment={"python": "3.11", "host": "h"}
        )
        for step in range(4):
            vectors = {kind: generator.normal(size=8).astype(np.float32) for kind in ("z", "prediction")}
            text = HOSTILE if step == 1 else "The dog was happy." if step == 3 else None
            state = random.Random(run).randbytes(5000) if step == 2 else None
            recorder.record_step(_row(run, step, text), vectors, state, token_losses=[0.1, 2.0])
        recorder.add_event(run, 2, Event("lr", "0.01 → 0.02 " + HOSTILE, "ann@box"))
    recorder.end(first, 3, Status.FAILED, Event("failed", "no memory"), error="no memory")
    recorder.end(outside, 3, Status.FINISHED, Event("finished"))
    recorder.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        execute = connection.execute
        execute(
            "UPDATE session SET notes = '# Why', tags = '[\"a\"]', archived = 1 WHERE name = ?", (SESSION,)
        )
        execute(
            "UPDATE run SET parent_run = ?, parent_step = 2, weights = '{\"ce\": 2.0}' WHERE id = ?",
            (first, fork),
        )
        execute("UPDATE run SET parent_run = ?, parent_step = 1 WHERE id = ?", (other, outside))
        execute(
            "UPDATE run SET status = 'running', worker_pid = 1, worker_start = 'x', heartbeat = 5.0,"
            " started = 4.0 WHERE id = ?",
            (fork,),
        )
        execute("UPDATE run SET deleted = 1.0 WHERE id = ?", (deleted,))
        execute(
            "UPDATE command SET status = 'applied', applied_step = 2, reason = 'r' WHERE run = ?", (first,)
        )
        execute(
            "INSERT INTO break_point (run, condition, created, who) VALUES (?, 'step 2', 1.5, 'ann')",
            (first,),
        )
        execute("UPDATE step SET weights = '{\"ce\": 2.0}' WHERE step = 2")
        execute('UPDATE run SET schedules = \'{"lr": "constant"}\' WHERE id = ?', (fork,))
        execute(
            'UPDATE step SET measures = \'{"norm": 0.2, "near": null}\', reread_prediction = ?,'
            ' sentences = \'[["Lily.", 0.5, true], ["A dog.", null, null]]\' WHERE step = 1',
            (HOSTILE,),
        )
        for run, status in ((first, "done"), (fork, "running")):
            arguments = {"from": [first, 0], "to": [other, 3], "points": 5}
            execute(
                "INSERT INTO task (device, run, kind, arguments, requested, who, status, worker_pid,"
                " worker_start, done, total, result, error, ended)"
                " VALUES ('cpu', ?, 'interpolate', ?, 1.5, 'ann', ?, 7, 's', 3, 5, '{}', 'e', 2.5)",
                (run, json.dumps(arguments), status),
            )
    connection.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "sessions.db"
    _fill(path)
    return path


@pytest.fixture(scope="module")
def packed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "lily.zip"
    assert pack_session(source, SESSION, path) == 3
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A database in which numbers and names are taken already."""
    path = tmp_path / "target.db"
    for name in ("here", "before"):
        add_run(path, _spec(), device="cpu", session=name)
        add_command(path, device="cpu", kind="pause", run=1)
    return path


def _tables(path: Path) -> dict[str, list[dict[str, Any]]]:
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        tables = {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            for name in names
            if name not in OWN_TABLES and not name.startswith("decoded_text_index")
        }
    connection.close()
    return tables


def _dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


def test_every_table_and_every_column_comes_back(source: Path, packed: Path, target: Path) -> None:
    before = _tables(target)
    imported = import_session(packed, target)
    there, here = _tables(source), _tables(target)
    assert imported.session == SESSION
    assert list(imported.runs) == [2, 3, 4]
    numbers = dict(imported.runs)
    assert list(numbers.values()) == [3, 4, 5]

    added = {table: [row for row in rows if row not in before[table]] for table, rows in here.items()}
    for table, rows in before.items():
        assert here[table][: len(rows)] == rows  # what was there stays as it was

    wanted = {
        table: [dict(row) for row in rows if row.get("run", row.get("id")) in numbers]
        for table, rows in there.items()
    }
    wanted["session"] = [dict(row) for row in there["session"] if row["name"] == SESSION]
    for table in wanted.keys() - {"session", "run"}:
        for row in wanted[table]:
            row["run"] = numbers[row["run"]]
    (session,) = wanted["session"]
    home = added["session"][0]["id"]
    session |= {"id": home, "archived": 0, "imported": added["session"][0]["imported"]}
    assert len(session["imported"]) == 64
    inits = {3: (3, 2), 4: (5, 0)}  # of run 3 within the file; of run 4 outside it, so now its own
    for row in wanted["run"]:
        old = row["id"]
        row |= {"id": numbers[old], "session_id": home, "parent_run": numbers.get(row["parent_run"])}
        row |= {"worker_pid": None, "worker_start": None, "heartbeat": None}
        if old in inits:
            run, step = inits[old]
            spec = json.loads(row["spec"]) | {"init": {"kind": "vector", "run": run, "step": step}}
            row |= {"spec": json.dumps(spec), "init": f"z of run {run}, step {step}"}
    running = next(row for row in wanted["run"] if row["id"] == numbers[3])
    running |= {"status": "stopped", "ended": 5.0}
    commands = {
        numbers[2]: ("applied", "r"),
        numbers[3]: ("rejected", "was not yet done when the session was handed on"),
    }
    for row in wanted["command"]:
        row["status"], row["reason"] = commands[row["run"]]
    for row in wanted["task"]:
        arguments = {"from": [numbers[2], 0], "to": [0, 3], "points": 5}
        row |= {"worker_pid": None, "worker_start": None, "arguments": json.dumps(arguments)}
    cancelled = next(row for row in wanted["task"] if row["run"] == numbers[3])
    cancelled |= {"status": "cancelled", "error": "was not yet done when the session was handed on"}

    notes = [row for row in added["event"] if row["kind"] == "imported"]
    added["event"] = [row for row in added["event"] if row["kind"] != "imported"]
    assert [row["detail"] for row in notes] == [
        "from lily.zip: was run 2 of session Lily",
        "from lily.zip: was run 3 of session Lily; was running",
        "from lily.zip: was run 4 of session Lily; its parent, run 1 of another session, is not in the file; "
        "its start, the z of run 1, step 1, is not in the file",
    ]
    for table in ("decoded_text", "event", "break_point", "command", "task"):
        for row in (*wanted[table], *added[table]):
            del row["id"]
    for table in ("step", "vector", "checkpoint"):  # their order is their key's, not that of writing
        for rows in (wanted[table], added[table]):
            rows.sort(key=lambda row: (row["run"], row["step"], row.get("kind")))
    assert added == wanted


def test_the_round_trip_looks_at_every_column(source: Path) -> None:
    unseen = {"session.deleted", "session.imported", "run.deleted"}  # only of what is not handed on
    for table, rows in _tables(source).items():
        kept = [row for row in rows if row.get("deleted") is None]
        empty = {f"{table}.{name}" for name in rows[0] if all(row[name] is None for row in kept)}
        assert empty <= unseen, table


def test_what_was_said_is_found_in_the_new_database(packed: Path, target: Path) -> None:
    import_session(packed, target)
    with sqlite3.connect(target) as connection:
        found = connection.execute(
            "SELECT run, step, kind FROM decoded_text JOIN decoded_text_index AS texts ON texts.rowid = id"
            " WHERE decoded_text_index MATCH 'happy' ORDER BY run, kind"
        ).fetchall()
        assert found == [(run, 3, kind) for run in (3, 4, 5) for kind in ("prediction", "z")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_session_that_went_there_and_back_is_the_same_file_but_for_its_numbers(
    source: Path, packed: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.zip"
    pack_session(source, SESSION, again)
    assert again.read_bytes() == packed.read_bytes()
    fresh = tmp_path / "fresh.db"
    import_session(packed, fresh)
    back = tmp_path / "back.zip"
    pack_session(fresh, SESSION, back)
    with zipfile.ZipFile(packed) as first, zipfile.ZipFile(back) as second:
        for name in ("vector.bin", "checkpoint.bin"):
            assert first.read(name) == second.read(name)


def test_importing_twice_is_noticed(packed: Path, target: Path) -> None:
    import_session(packed, target)
    before = _dump(target)
    with pytest.raises(UserError, match=r"is here already, as session 'Lily'; --again adds it once more$"):
        import_session(packed, target, session="Another name")
    assert _dump(target) == before
    assert import_session(packed, target, again=True).session == "Lily (2)"
    assert import_session(packed, target, again=True).session == "Lily (3)"


def test_a_name_can_be_chosen_and_must_be_free(packed: Path, target: Path) -> None:
    for name, reason in (("here", "there is a session 'here' already"), (" ", "a name is needed")):
        with pytest.raises(UserError, match=reason):
            import_session(packed, target, session=name)
    assert import_session(packed, target, session="Rose").session == "Rose"
    with Reader(target) as reader:
        assert [session.name for session in reader.sessions()] == ["here", "before", "Rose"]


def test_a_missing_session_leaves_no_file(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no session 'nobody'"):
        pack_session(source, "nobody", tmp_path / "a.zip")
    with pytest.raises(UserError, match="is the database itself"):
        pack_session(source, SESSION, source, force=True)
    assert list(tmp_path.iterdir()) == []


Parts = dict[str, bytes]


def _parts(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _sealed(parts: Parts) -> Parts:
    """With a manifest whose sizes and digests are right: only the content is bad."""
    import hashlib

    manifest = json.loads(parts["manifest.json"])
    for name in manifest["members"]:
        data = parts[name]
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return parts | {"manifest.json": json.dumps(manifest).encode()}


def _zipped(path: Path, parts: Parts) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def _in_manifest(**changes: Any) -> Callable[[Parts], Parts]:
    return lambda parts: parts | {
        "manifest.json": json.dumps(json.loads(parts["manifest.json"]) | changes).encode()
    }


def _in_row(table: str, **changes: Any) -> Callable[[Parts], Parts]:
    def change(parts: Parts) -> Parts:
        first, *rest = parts[f"{table}.jsonl"].splitlines(keepends=True)
        line = json.dumps(json.loads(first) | changes).encode() + b"\n"
        return _sealed(parts | {f"{table}.jsonl": line + b"".join(rest)})

    return change


def _raw_line(table: str, line: bytes) -> Callable[[Parts], Parts]:
    return lambda parts: _sealed(parts | {f"{table}.jsonl": line + parts[f"{table}.jsonl"]})


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


BAD: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "no manifest": (
        lambda parts: {k: v for k, v in parts.items() if k != "manifest.json"},
        "it has no manifest",
    ),
    "another format": (_in_manifest(format="x"), "is no session file"),
    "newer layout": (_in_manifest(version=2), "written by a newer program .version 2, .*install a newer"),
    "newer schema": (_in_manifest(schema="9999"), "written by a newer program .*schema 9999"),
    "older schema than any": (_in_manifest(schema="0001"), "there is no version 1 with schema 0001"),
    "schema with a path": (_in_manifest(schema="../3"), "names no version or no schema"),
    "manifest is no object": (lambda parts: parts | {"manifest.json": b"[]"}, "manifest.json: is no object"),
    "manifest too long": (
        lambda parts: parts | {"manifest.json": b" " * 70_000},
        "manifest.json has 70000 bytes",
    ),
    "deep manifest": (lambda parts: parts | {"manifest.json": b"[" * 60_000}, "manifest.json: is no JSON"),
    "path traversal": (lambda parts: parts | {"../../evil": b"x"}, "'../../evil' does not belong"),
    "a pickle": (lambda parts: parts | {"vector.pkl": pickle.dumps(_Bomb())}, "'vector.pkl' does not belong"),
    "a pickle as checkpoint": (
        lambda parts: _sealed(parts | {"checkpoint.jsonl": b"", "checkpoint.bin": pickle.dumps(_Bomb())}),
        "checkpoint.bin holds more than its rows say",
    ),
    "a part is missing": (
        lambda parts: {k: v for k, v in parts.items() if k != "vector.bin"},
        "vector.bin is missing",
    ),
    "changed numbers": (
        lambda parts: parts | {"step.jsonl": parts["step.jsonl"].replace(b"0.25", b"0.52")},
        "step.jsonl is not what was written: its digest",
    ),
    "changed vectors": (
        lambda parts: parts | {"vector.bin": bytes(len(parts["vector.bin"]))},
        "vector.bin is not what was written: its digest",
    ),
    "cut off": (
        lambda parts: parts | {"vector.bin": parts["vector.bin"][:-4]},
        "vector.bin is not what was written",
    ),
    "vectors end early": (
        lambda parts: _sealed(parts | {"vector.bin": parts["vector.bin"][:-4]}),
        "vector.bin ends too early",
    ),
    "huge vector": (_in_row("vector", data=2**40), "1099511627776 bytes for one row"),
    "negative length": (_in_row("vector", data=-1), "-1 bytes for one row"),
    "no float32": (
        _in_row("vector", dimension=3),
        "do not fit together: CHECK constraint failed: data_is_float32",
    ),
    "text for a number": (
        _in_row("step", loss="1; DROP TABLE run"),
        "step.jsonl: row 1: loss: '1; DROP TABLE run'",
    ),
    "number for a text": (_in_row("run", target=7), "run.jsonl: row 1: target: 7 cannot stand there"),
    "bool for a number": (_in_row("run", steps=True), "run.jsonl: row 1: steps: True cannot"),
    "too large": (_in_row("run", seed=2**70), "run.jsonl: row 1: seed: 1180591620717411303424 cannot"),
    "missing value": (_in_row("run", device=None), "do not fit together: NOT NULL"),
    "unknown column": (_in_row("run", evil=1), "'evil' is missing, or does not belong there"),
    "unknown status": (_in_row("run", status="owned"), "CHECK constraint failed: status_is_known"),
    "bad spec": (_in_row("run", spec='{"lr": -1}'), "run.jsonl: row 1: spec: lr: -1"),
    "spec is no JSON": (_in_row("run", spec="import os"), "run.jsonl: row 1: spec: "),
    "bad terms": (_in_row("step", terms='{"ce": "x"}'), "row 1: terms: is no JSON object of numbers"),
    "bad schedules": (_in_row("run", schedules='{"lr": 1}'), "schedules: is no JSON object of texts"),
    "bad measures": (_in_row("step", measures='{"norm": "x"}'), "measures: is no JSON object of numbers"),
    "bad sentences": (
        _in_row("step", sentences='[["Lily.", "x", true]]'),
        "sentences: is no JSON array of sentences",
    ),
    "bad tags": (_in_row("session", tags='{"a": 1}'), "tags: is no JSON array of texts"),
    "bad task": (_in_row("task", result="[1]"), "result: is no JSON object"),
    "lone surrogate": (_in_row("session", notes="\ud800"), "a value cannot be stored"),
    "a row of another run": (_in_row("event", run=99), "event.jsonl: names a run that is not there"),
    "a run of another session": (
        _in_row("run", session_id=99),
        "run.jsonl: names a session that is not there",
    ),
    "two sessions": (_raw_line("session", b'{"id": 1}\n'), "session.jsonl: row 1: "),
    "NaN": (_raw_line("step", b'{"loss": NaN}\n'), "step.jsonl: line 1: is no JSON: NaN"),
    "a list": (_raw_line("step", b"[]\n"), "step.jsonl: line 1: is no object"),
    "no line end": (lambda parts: _sealed(parts | {"task.jsonl": b"{"}), "task.jsonl: line 1 has no end"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_and_changes_nothing(
    kind: str, packed: Path, tmp_path: Path, small_target: Path
) -> None:
    change, reason = BAD[kind]
    path = _zipped(tmp_path / "bad.zip", change(_parts(packed)))
    before = _dump(small_target)
    with pytest.raises(UserError, match=reason) as raised:
        import_session(path, small_target)
    assert str(raised.value).startswith(f"import: {path}: ")
    assert "\n" not in str(raised.value)
    assert _dump(small_target) == before
    assert not list(small_target.parent.glob(".*import*"))


@pytest.fixture(scope="module")
def small_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "target.db"
    add_run(path, _spec(), device="cpu", session="here")
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no session file, or a damaged one"),
        (b"PK\x05\x06 not really", "is no session file, or a damaged one"),
        (b"SQLite format 3\x00" + bytes(100), "is no session file, or a damaged one"),
        (pickle.dumps(_Bomb()), "is no session file, or a damaged one"),
    ],
)
def test_other_files_are_refused(content: bytes, reason: str, tmp_path: Path, small_target: Path) -> None:
    path = tmp_path / "other.zip"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        import_session(path, small_target)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, small_target: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        import_session(tmp_path / "missing.zip", small_target)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        import_session(tmp_path, small_target)


def test_a_bomb_is_not_unpacked(
    packed: Path, tmp_path: Path, small_target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _sealed(_parts(packed) | {"step.jsonl": b" " * 50_000_000 + b"\n"})
    path = _zipped(tmp_path / "bomb.zip", parts)
    assert path.stat().st_size < 200_000
    monkeypatch.setattr("engine.sharing.archive._HARMLESS_BYTES", 1_000_000)
    with pytest.raises(UserError, match=r"would grow from \d+ to 50\d{6} bytes: that is not plausible"):
        import_session(path, small_target)


def test_a_file_that_lies_about_its_size_is_refused(packed: Path, tmp_path: Path, small_target: Path) -> None:
    parts = _sealed(_parts(packed))
    path = _zipped(tmp_path / "liar.zip", parts)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"step.jsonl") - 46  # of the directory at the end
    assert data[entry : entry + 4] == b"PK\x01\x02"
    size = int.from_bytes(data[entry + 24 : entry + 28], "little")
    data[entry + 24 : entry + 28] = (size - 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"step\.jsonl is not what was written: it has another size"):
        import_session(path, small_target)


def test_two_parts_of_one_name_are_refused(packed: Path, tmp_path: Path, small_target: Path) -> None:
    path = _zipped(tmp_path / "twice.zip", _parts(packed))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("run.jsonl", b"")
    with pytest.raises(UserError, match="has two parts of the same name"):
        import_session(path, small_target)


def test_a_disk_that_is_too_small_is_said_before_anything_is_unpacked(
    packed: Path, small_target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("engine.sharing.importing.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"needs \d+ bytes of disk in .*, where 10 are free"):
        import_session(packed, small_target)


def test_random_damage_never_gets_in(packed: Path, tmp_path: Path, small_target: Path) -> None:
    whole = packed.read_bytes()
    before = _dump(small_target)
    generator = random.Random(3)
    path = tmp_path / "damaged.zip"
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(3):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        reason = _refused(path, small_target)
        if reason is not None:
            assert "\n" not in reason
            assert _dump(small_target) == before
        else:  # what was hit says nothing: a time, an attribute
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == _parts(packed)
            before = _dump(small_target)


def _refused(path: Path, database: Path) -> str | None:
    try:
        import_session(path, database, again=True)
    except UserError as error:
        return str(error)
    return None


KEPT = Path(__file__).parent / "data" / "session_version_1_schema_0003.zip"


def test_a_file_of_each_released_version_can_be_imported(tmp_path: Path) -> None:
    imported = import_session(KEPT, tmp_path / "new.db")
    with Reader(tmp_path / "new.db") as reader:
        first, fork, _ = reader.runs()
        assert imported.session == first.session == SESSION
        assert (first.status, fork.status) == (Status.FAILED, Status.STOPPED)
        assert (fork.parent_run, fork.parent_step) == (first.id, 2)
        assert [step.loss for step in reader.all_steps(first.id)] == [1 / 3 + step for step in range(4)]
        assert reader.steps(first.id)[1].decoded_prediction == HOSTILE
        vectors: Iterator[Any] = reader.vectors(first.id, "z")
        assert [(step, vector.shape) for step, vector in vectors] == [(step, (8,)) for step in range(4)]
