"""What compiles the models' part of a step, where that is asked for: known without torch."""

import os
import shlex
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from sysconfig import get_path

from engine.errors import UserError


def check_compiler(device: str) -> None:
    """Refuse to compile where nothing can.

    Args:
        device: `cpu` or `cuda:N`.

    Raises:
        UserError: there is no compiler; it says which is looked for.
    """
    if device == "cpu":
        _check("a C++ compiler", "CXX", "g++")
        return
    if find_spec("triton") is None:
        raise UserError("compile: needs Triton on a card, which torch's packages for CUDA bring along")
    _check("a C compiler", "CC", "gcc", "clang")
    header = Path(get_path("include")) / "Python.h"
    if not header.is_file():
        raise UserError(
            f"compile: needs Python's headers, and there is no {header}: install python3-dev, or do not "
            "compile"
        )


def _check(what: str, variable: str, *names: str) -> None:
    """Look where torch and Triton do: what the variable names, else one of some programs."""
    named = shlex.split(os.environ.get(variable, ""))[:1]
    if not any(map(which, named or names)):
        looked_for = f"{named[0]}, as {variable} says" if named else " or ".join(names)
        raise UserError(
            f"compile: needs {what}, and there is no {looked_for}: install one, or do not compile"
        )
