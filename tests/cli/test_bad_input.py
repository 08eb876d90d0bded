"""Bad input gets one line that says what and where, exit code 2, and changes nothing."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.texts import MAX_TEXT_CHARACTERS

from .conftest import Call, run_program

LILY = "Once upon a time, there was a little girl named Lily. "


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--lr", "-1"], "lr: -1: should be greater than 0"),
        (["--lr", "0"], "lr: 0: should be greater than 0"),
        (["--lr", "nan"], "lr: nan: should be a finite number"),
        (["--lr", "inf"], "lr: inf: should be a finite number"),
        (["--lr", "fast"], "lr: 'fast': should be a valid number"),
        (["--steps", "0"], "steps: 0: should be greater than or equal to 1"),
        (["--steps", "1.5"], "steps: 1.5: should be a valid integer, got a number with a fractional part"),
        (["--norm", "-3"], "norm: -3: allowed are initial, free, or a number above 0"),
        (["--norm", "long"], "norm: 'long': allowed are initial, free, or a number above 0"),
        (["--target", "  "], "target: '  ': empty; a sentence is needed"),
        (["--init", ""], "init.text: '': empty; a sentence is needed"),
        (["--init-random", "-4"], "init.seed: -4: should be greater than or equal to 0"),
        (["--init-vector", "7"], "init-vector: '7': should be RUN:STEP, for example 7:100"),
        (
            ["--init", "a", "--init-random", "1"],
            "init: --init, --init-random and --init-vector exclude one another",
        ),
        (["--loss", "hinge"], "loss: 'hinge': there are ce, cosine, mse"),
        (["--loss", "ce", "--weight", "ce=1"], "loss: --loss and --weight exclude one another"),
        (["--weight", "ce"], "weight: 'ce': should be TERM=NUMBER, for example ce=1"),
        (["--weight", "ce=1", "--weight", "ce=2"], "weight: ce is given twice"),
        (["--weight", "ce=0"], "weights: at least one loss term needs a weight above 0"),
        (["--bundle", "maxi"], "bundle: 'maxi' is unknown; there are mini, sonar-llm-100m"),
        (["--device", "tpu"], "device: 'tpu': allowed are auto, cpu, cuda, cuda:N"),
        (["--dtype", "float16"], "dtype: 'float16': should be 'float32' or 'bfloat16'"),
        (["--vectors", "all"], "vectors: 'all': should be 'every', 'decoded' or 'ends'"),
        (["--beam", "0"], "beam: 0: should be greater than or equal to 1"),
        (["--session", " "], "session: '': a name has 1 to 200 printable characters"),
        (["--name", "\x1b[2J"], "name: '\\x1b[2J': a name has 1 to 200 printable characters"),
        (["--init-vector", "7:100"], "there is no such file"),
        (["--target", "One.", "--target", " "], "target 2: ' ': empty; a sentence is needed"),
        (["--context", "", "--context", "A."], "context 1: '': empty; a sentence is needed"),
        (["--before", "A\x00B"], "contains a NUL character"),
        (["--target", "A."] + ["--target", "B."] * 65, "continuation: "),
        (["--forcing", "none"], "forcing: 'none': should be 'teacher' or 'free'"),
        (["--source-lang", "deu_Latn"], "source_lang: 'deu_Latn': bundle mini has eng_Latn"),
        (["--target-lang", "x" * 30], "target_lang: "),
        (["--schedule", "lr"], "schedule: 'lr': should be NAME=SCHEDULE, for example lr=cosine:0:100"),
        (["--schedule", "lr=soon"], "schedule: lr=soon: allowed are constant, warmup:N"),
        (["--schedule", "lr=warmup:0"], "schedule: lr=warmup:0: N: allowed is a whole number, 1 to"),
        (["--schedule", "ce=plateau:0.5:3"], "schedule: ce=plateau:0.5:3: allowed are"),
        (["--schedule", "hinge=warmup:5"], "schedules: no schedule of 'hinge'; there are those of lr, ce"),
        (["--schedule", "lr=warmup:5", "--schedule", "lr=warmup:6"], "schedule: lr is given twice"),
        (["--option", "noise"], "option: 'noise': should be NAME=VALUE, for example noise.copies=8"),
        (["--option", "noise.colour=pink"], "no option 'noise.colour'; there are anchor.to"),
        (["--option", "noise.copies=many"], "noise.copies='many': allowed is a whole number, 0 to 1024"),
        (["--option", "noise.level=nan"], "noise.level=nan: allowed is a number, 0 to 100"),
        (["--option", "noise.copies=1", "--option", "noise.copies=2"], "option: noise.copies is given twice"),
        (["--option", "anchor.to=moon"], "anchor.to='moon': allowed are round-trip, init, sentences, all"),
        (["--optimizer", "newton"], "optimizer: 'newton': there are adam, adamw, sgd, lbfgs"),
        (["--clip", "0"], "clip: 0: should be greater than 0"),
        (["--read-every", "0"], "read_every: 0: should be greater than or equal to 1"),
        (["--measures", "some"], "measures: 'some': should be 'all', 'quick' or 'none'"),
        (
            ["--preset", "magic"],
            "preset: 'magic': there are decoder CE, cosine, readable, readable text",
        ),
        (["--weight", ""], "weights: at least one loss term needs a weight above 0"),
        (["--wight", "1"], "No such option: --wight"),
        (["--format", "xml"], "'xml' is not one of 'table', 'jsonl', 'markdown'"),
        (["--target", "x" * (MAX_TEXT_CHARACTERS + 1)], "10001 characters; at most 10000 are allowed"),
        (["--device", "cuda"], "device: cuda: the NVIDIA driver shows no card here; there are auto, cpu"),
        (["--lr", "-1", "--steps", "0"], "steps: 0: should be greater than or equal to 1"),
    ],
)
def test_a_bad_run_queues_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    answer = call("run", *arguments, "--db", tmp_path / "sessions.db")
    _check_is_one_line(answer.code, answer.out, answer.err, line)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_loss_term_is_named_with_the_known_ones(call: Call, tmp_path: Path) -> None:
    answer = call("run", "--weight", "hinge=1", "--db", tmp_path / "sessions.db")
    _check_is_one_line(answer.code, answer.out, answer.err, "no loss term 'hinge'; there are ce, cosine, mse")


def test_a_text_that_is_too_long_in_tokens_says_the_limit(call: Call, tmp_path: Path) -> None:
    for option in ("--target", "--init", "--before", "--context"):
        answer = call("run", option, LILY * 30, "--db", tmp_path / "sessions.db")
        _check_is_one_line(answer.code, answer.out, answer.err, "tokens; bundle mini takes at most")
        assert answer.err.startswith(f"sonar-explore: {option.removeprefix('--')}: ")
    assert list(tmp_path.iterdir()) == []


def test_every_text_of_a_list_is_measured(call: Call, tmp_path: Path) -> None:
    for arguments, field in (
        (["--target", "A.", "--target", LILY * 30], "target 2"),
        (
            ["--option", "anchor.sentences=A.", "--option", f"anchor.sentences={LILY * 30}"],
            "anchor.sentences 2",
        ),
    ):
        answer = call("run", *arguments, "--db", tmp_path / "sessions.db")
        _check_is_one_line(answer.code, answer.out, answer.err, "tokens; bundle mini takes at most")
        assert answer.err.startswith(f"sonar-explore: {field}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "99"], "run: there is no run 99 in"),
        (["show", "one"], "run: 'one': should be the number of a run, as `sonar-explore list` shows it"),
        (["show", "0"], "run: '0': should be the number of a run"),
        (["show"], "Missing argument 'RUN'"),
        (["shwo", "1"], "No such command 'shwo'"),
        (["worker"], "Missing command"),
        (["export", "1"], "Missing option '--to'"),
        (
            ["export", "1", "--to", "run.xlsx"],
            "the name should end in one of .md, .csv, .jsonl, .parquet, .html, .safetensors",
        ),
        (["export", "1", "--to", "-", "--format", "safetensors"], "safetensors is binary"),
        (["export", "2", "--to", "z.safetensors"], "run 2 has no vectors to export"),
        (["pause", "1"], "run 1: has ended (finished)"),
        (["stop", "3"], "run 3: has ended (crashed)"),
        (["resume", "1"], "run 1: has finished its 4 steps"),
        (["set", "1", "lr"], "set: 'lr': should be lr=NUMBER or TERM=NUMBER"),
        (["set", "1"], "Missing argument"),
        (["set", "1", "ce=1", "weight.ce=2"], "set: weight.ce is given twice"),
        (
            ["set", "1", "lr=cosine:0"],
            "lr: 'cosine:0': should be a number, or a schedule: allowed are constant",
        ),
        (
            ["set", "1", "fluency=plateau:0.5:3"],
            "fluency: 'plateau:0.5:3': should be a number, or a schedule",
        ),
        (["set", "1", "lr=-1:cosine:0:5"], "lr: -1: a learning rate is above 0 and at most 1000"),
        (["set", "1", "lr=nan:cosine:0:5"], "lr: nan: a learning rate is above 0"),
        (["set", "1", "lr=0.1:cosine:0"], "lr: '0.1:cosine:0': should be a number, or a schedule"),
        (["set", "1", "fluency=-1:linear:0:5"], "fluency=-1; a weight is 0 or more"),
        (["set", "1", "lr=linear:-1:5"], "END: allowed is a number, 0 to 1000"),
        (["fork", "1", "--step", "2", "--option", "noise.copies=-1"], "noise.copies=-1: allowed is a whole"),
        (["set", "1", "lr=1", "lr=2"], "set: lr is given twice"),
        (["set", "1", "weight.ce=1", "weight.ce=2"], "set: weight.ce is given twice"),
        (["set", "1", "weight.ce=much"], "weight.ce: 'much': should be a number"),
        (["set", "1", "lr=0.1", "weight.ce=0"], "at least one loss term needs a weight above 0"),
        (["set", "1", "weight.hinge=1"], "no loss term 'hinge'; there are ce, cosine, mse"),
        (["set", "1", "weight.=1"], "no loss term ''; there are ce, cosine, mse"),
        (["set", "1", "weight.cosine=-1", "lr=1"], "cosine=-1; a weight is 0 or more"),
        (["set", "1", "weights=1"], "weights: 1: should be numbers by the names of terms"),
        (["set", "1", "lr=1", "weight.cosine=1"], "run 1: has ended (finished)"),
        (["extend", "1"], "Missing argument"),
        (["extend", "1", "0"], "steps: 0: should be 1 or more"),
        (["extend", "1", "many"], "steps: 'many': should be a whole number"),
        (["extend", "1", "10000000"], "steps: 10000004: should be less than or equal to 10000000"),
        (["extend", "99", "5"], "run: there is no run 99 in"),
        (["step", "1"], "run 1: has finished its 4 steps; extend it to go on"),
        (["step", "2", "0"], "steps: 0: should be 1 or more"),
        (["step", "2", "1.5"], "steps: '1.5': should be a whole number"),
        (["resume", "2", "--until", "1"], "until: 1: the run is at step 1 already"),
        (["resume", "2", "--until", "101"], "until: 101: the run ends with step 100"),
        (["resume", "2", "--until", "soon"], "until: 'soon': should be a whole number"),
        (["break", "2", "soon"], "break-point: 'soon': allowed are changed, match, not-finite, NAME<NUMBER"),
        (["break", "2", "loss<low"], "break-point: 'loss<low': allowed are"),
        (["break", "2", "match", "--remove"], "break-point: match: is not set; there is none"),
        (["break", "2", "--remove"], "break: --remove: needs the condition to remove"),
        (["break", "1", "match"], "run 1: has ended (finished)"),
        (["break", "99"], "run: there is no run 99 in"),
        (["run", "--break", "soon"], "break-point: 'soon': allowed are changed, match, not-finite"),
        (["set", "1", "lr=fast"], "lr: 'fast': should be a number"),
        (["set", "1", "lr=-1"], "lr: -1: a learning rate is above 0 and at most 1000"),
        (["set", "1", "lr=nan"], "lr: nan: a learning rate is above 0 and at most 1000"),
        (
            ["set", "1", "beam=3"],
            "set: beam cannot be set; what can be is lr and the weights of ce, cosine, mse, ",
        ),
        (["run", "--init-vector", "99:0"], "run: there is no run 99 in"),
        (["run", "--init-vector", "1:77"], "init: run 1 has no stored z for step 77"),
    ],
)
def test_a_bad_request_changes_nothing(
    call: Call, database: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(database.parent)
    before = _contents(database)
    answer = call("--db", database, *arguments)
    _check_is_one_line(answer.code, answer.out, answer.err, line)
    assert _contents(database) == before


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", "1"], ["pause", "1"], ["worker", "status"], ["run"]]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    call: Call, tmp_path: Path, arguments: list[str]
) -> None:
    path = tmp_path / "notes.db"
    path.write_text("My notes.\n" * 500, encoding="utf-8")
    answer = call(*arguments, "--db", path)
    _check_is_one_line(answer.code, answer.out, answer.err, f"database: {path}: is not an SQLite database")
    assert path.read_text(encoding="utf-8") == "My notes.\n" * 500
    assert {file.name for file in tmp_path.iterdir()} <= {"notes.db", "notes.db.lock"}


def test_a_database_of_another_program_is_refused(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title)")
    connection.close()
    before = path.read_bytes()
    for arguments in (["list"], ["run"]):
        answer = call(*arguments, "--db", path)
        _check_is_one_line(answer.code, answer.out, answer.err, "is an SQLite database of another program")
    assert path.read_bytes() == before


def test_a_damaged_database_is_one_line(call: Call, database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    for arguments in (["list"], ["show", "1"], ["run"]):
        answer = call(*arguments, "--db", database)
        _check_is_one_line(answer.code, answer.out, answer.err, f"database: {database}: cannot be")


def test_a_missing_database_is_not_made_by_looking(call: Call, tmp_path: Path) -> None:
    for arguments in (
        ["list"],
        ["show", "1"],
        ["export", "1", "--to", "-"],
        ["set", "1", "lr=1"],
        ["worker", "stop"],
    ):
        answer = call(*arguments, "--db", tmp_path / "none.db")
        _check_is_one_line(answer.code, answer.out, answer.err, "none.db: there is no such file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["list"], ["worker", "status"], ["sessions", "delete", "--run", "1", "--yes"]]
)
def test_a_database_that_is_gone_is_told_where_a_worker_saved_it(
    call: Call, tmp_path: Path, arguments: list[str]
) -> None:
    for copy in ("none.db.rescued.9", "none.db.rescued.10", "none.db.rescued", "none.db.rescued.10-shm"):
        (tmp_path / copy).touch()
    answer = call(*arguments, "--db", tmp_path / "none.db")
    line = (
        f"database: {tmp_path / 'none.db'}: there is no such file; what the worker had recorded is in "
        "none.db.rescued.10: rename it to have it back\n"
    )
    _check_is_one_line(answer.code, answer.out, answer.err, line)


def test_a_newer_database_can_be_read_and_not_written(call: Call, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = database.read_bytes()
    listed = call("list", "--db", database)
    assert listed.code == 0
    assert len(listed.out.splitlines()) == 5
    assert "newer than this program" in listed.err
    for arguments in (["run"], ["resume", "2"]):
        answer = call(*arguments, "--db", database)
        _check_is_one_line(answer.code, answer.out, answer.err, "newer than this program")
    assert database.read_bytes() == before


def test_a_folder_that_is_missing_is_one_line(call: Call, tmp_path: Path) -> None:
    answer = call("run", "--db", tmp_path / "missing" / "sessions.db")
    _check_is_one_line(answer.code, answer.out, answer.err, "there is no folder")


def test_a_full_disk_behind_stdout_is_one_line(database: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as output:
        answer = subprocess.run(
            [sys.executable, "-m", "tui", "list", "--db", str(database)],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert answer.returncode == 2
    assert answer.stderr == "sonar-explore: output: No space left on device\n"


def test_usage_errors_leave_no_traceback(tmp_path: Path) -> None:
    answer = run_program("run", "--lr", "-1", "--db", tmp_path / "a.db")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "sonar-explore: lr: -1: should be greater than 0\n"


def _contents(database: Path) -> tuple[list[str], list[str]]:
    """Everything in the database, and the files beside it but for SQLite's own."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    dump = list(connection.iterdump())
    connection.close()
    files = [file.name for file in database.parent.iterdir() if not file.name.endswith(("-wal", "-shm"))]
    return dump, sorted(files)


def _check_is_one_line(code: int, out: str, err: str, line: str) -> None:
    assert code == 2, err
    assert out == ""
    assert err.startswith("sonar-explore: ")
    assert line in err
    assert err.count("\n") == 1
    assert err.endswith("\n")
