"""What a shell sees: pipes that close, streams that cannot take every character, imports that cost time."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from .conftest import run_program

HEAVY = ("torch", "fairseq2", "sonar", "transformers")


def test_a_closed_pipe_ends_quietly(database: Path) -> None:
    for arguments in (
        "show 2 --format jsonl",
        "list --format jsonl",
        "show 2",
        "export 1 2 --to -",
    ):
        shell = subprocess.run(
            [
                "bash",
                "-c",
                f"{sys.executable} -m tui {arguments} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}",
            ],
            env=os.environ | {"SONAR_EXPLORE_DB": str(database)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (shell.stdout, shell.stderr) == ("0\n", ""), arguments


def test_a_locale_without_arrows_is_no_error(database: Path) -> None:
    answer = run_program("show", "2", "--db", database, environment={"PYTHONIOENCODING": "ascii"})
    assert answer.returncode == 0
    assert "[bold]a|b[/bold]" in answer.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["list"], ["show", "1"], ["export", "1", "--to", "-"]]
)
def test_looking_imports_neither_torch_nor_textual(database: Path, arguments: list[str]) -> None:
    program = (
        "import sys; from tui import cli; code = cli.call(sys.argv[1:]);"
        f"found = [name for name in {(*HEAVY, 'textual', 'sqlmodel')!r} if name in sys.modules];"
        "sys.exit(f'{code} {found}')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"SONAR_EXPLORE_DB": str(database)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stderr == "0 []\n"


def test_the_version_and_the_help_are_printed() -> None:
    assert run_program("--version").stdout == "sonar-explore 0.1.0\n"
    answer = run_program("-h")
    assert answer.returncode == 0
    for verb in ("run", "list", "show", "export", "pause", "resume", "stop", "set", "worker", "doctor"):
        assert f" {verb} " in answer.stdout
    assert "130 Ctrl-C" in answer.stdout


def test_the_help_of_run_names_the_defaults_of_the_spec() -> None:
    from engine.spec import PUBLISHED_INIT, PUBLISHED_TARGET, RunSpec

    text = " ".join(run_program("run", "--help", environment={"COLUMNS": "200"}).stdout.split())
    spec = RunSpec()
    assert f"({PUBLISHED_INIT})" in text
    assert f"({PUBLISHED_TARGET})" in text
    for option, field in (
        ("--lr", "lr"),
        ("--steps", "steps"),
        ("--norm", "norm"),
        ("--decode-every", "decode_every"),
        ("--beam", "beam"),
        ("--seed", "seed"),
        ("--bundle", "bundle"),
        ("--device", "device"),
        ("--dtype", "dtype"),
        ("--vectors", "vectors"),
    ):
        line = text.split(f"{option} ", 1)[1].split(" --", 1)[0]
        assert f"({getattr(spec, field)})" in line, option


def test_the_help_wraps_to_the_terminal_and_flags_take_no_value() -> None:
    lines = [
        line.strip()
        for line in run_program("fork", "--help", environment={"COLUMNS": "160"}).stdout.splitlines()
    ]
    first = next(number for number, line in enumerate(lines) if line.startswith("What is left out is"))
    assert len(lines[first]) > 140
    assert lines[first + 1].endswith("are added to its own.")
    (detach,) = (line for line in lines if "--detach" in line)
    assert " ".join(detach.strip("│ ").split()) == "--detach Only queue the run; its number is printed."


def test_csv_which_keeps_control_characters_is_not_put_on_a_terminal(database: Path) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tui", "export", "2", "--to", "-", "--format", "csv", "--db", str(database)],
        dimensions=(24, 200),
        timeout=60,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
    assert child.before.decode().strip() == (
        "sonar-explore: --to: CSV keeps texts as they are, control characters too: name a file"
    )
    piped = run_program("export", "2", "--to", "-", "--format", "csv", "--db", database)
    assert piped.returncode == 0
    assert piped.stdout.startswith("run,step,loss")
