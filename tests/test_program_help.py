"""What is started by `python -m` says how, and starts nothing."""

from importlib import import_module

import pytest

PROGRAMS = {
    "benchmarks": "benchmarks.__main__",
    **{
        name: name
        for name in (
            "benchmarks.first_paint",
            "benchmarks.many_runs",
            "benchmarks.viewer",
            "benchmarks.live_run",
            "benchmarks.loop_lag",
            "engine.worker",
        )
    },
}
"""What stands behind `-m`, and the module that it runs."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_the_usage_and_what_it_is_for(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        import_module(PROGRAMS[program]).main(["--help"])
    out, err = capsys.readouterr()
    assert (left.value.code, err) == (0, "")
    usage, first_line, *_ = out.split("\n\n")
    assert usage.startswith(f"usage: python -m {program} [-h]")
    assert first_line.endswith((".", "`make bench`."))
    assert "\n" not in first_line
