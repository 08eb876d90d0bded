"""What a new run can begin from: the presets that are built in, and the user's own in a file."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.spec import RunSpec, parse_spec
from tui.files import replace_file
from tui.paths import config_dir, state_dir

MAX_NAME = 60

_LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Preset:
    """A run to be, and what pauses it."""

    spec: RunSpec
    break_points: tuple[str, ...] = ()
    description: str = ""
    """What it shows, in one line; the user's own have none."""


PUBLISHED: Mapping[str, Preset] = {
    "decoder CE": Preset(
        RunSpec(), description="the prediction becomes the target, and z says nothing like it"
    ),
    "cosine": Preset(
        RunSpec(weights={"cosine": 1.0}),
        description="the predicted embedding gets near to the target's, and says something else",
    ),
}
"""The published experiments, by name."""

EXAMPLES: Mapping[str, Preset] = {
    "readable": Preset(
        RunSpec(weights={"ce": 1.0, "fluency": 0.3, "anchor": 3.0}),
        description="z stays near to what it says itself; that text alone says no such thing next",
    ),
    "readable text": Preset(
        RunSpec(method="population", steps=30),
        description="a text is sought that alone makes the model say the target; slow steps",
    ),
    "robust": Preset(
        RunSpec(options={"noise.copies": 8, "noise.level": 0.1}),
        description="the prediction holds for eight noisy copies of z, so also beside z",
    ),
    "story": Preset(
        RunSpec(
            continuation=(
                "She loved to play outside in the sun.",
                "One day, she went to the park with her mom and dad.",
            ),
            steps=50,
        ),
        description="one z makes the model tell three sentences, the true ones before each",
    ),
}
"""What else there is to try first, by name."""

BUILT_IN: Mapping[str, Preset] = {**PUBLISHED, **EXAMPLES}
"""Every preset that is not the user's own, by name."""

_OTHER_NAMES = {
    "published ce": "decoder CE",
    "published decoder ce": "decoder CE",
    "published cosine": "cosine",
}


def find_preset(name: str) -> Preset:
    """The preset of a name: one of the user's own, else one that is built in, in capitals or not.

    Raises:
        UserError: there is none of that name, or the file of the user's own cannot be read.
    """
    own = read_presets()
    if name.strip() in own:
        return own[name.strip()]
    wanted = " ".join(name.casefold().replace(":", " ").split())
    wanted = _OTHER_NAMES.get(wanted, wanted)
    for known, preset in {**own, **BUILT_IN}.items():
        if known.casefold() == wanted.casefold():
            return preset
    raise UserError(f"preset: {name[:MAX_NAME]!r}: there are {', '.join((*BUILT_IN, *own))}")


def presets_file() -> Path:
    """Where the user's own presets are."""
    return config_dir() / "presets.json"


def read_presets() -> dict[str, Preset]:
    """The user's own presets by name, in the order of the file; none when there is no file.

    Raises:
        UserError: the file cannot be read or is damaged: which, and where in it.
    """
    file = presets_file()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"presets: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"presets: {file} is damaged (byte {error.start} is not UTF-8)") from error
    try:
        return {name: _preset(name, fields) for name, fields in _objects(text).items()}
    except ValueError as error:
        raise UserError(f"presets: {file} is damaged ({error}): mend or remove it") from error


def save_preset(name: str, preset: Preset) -> None:
    """Add a preset of the user's own, or put it in the place of the one of that name.

    Raises:
        UserError: the name cannot be had, or the file cannot be written or is damaged; nothing is changed.
    """
    if reason := name_error(name):
        raise UserError(f"presets: {reason}")
    with _locked():
        _write({**read_presets(), name.strip(): preset})


def delete_preset(name: str) -> None:
    """Remove a preset of the user's own; one that is gone already is no error.

    Raises:
        UserError: the file cannot be written or is damaged; nothing is changed.
    """
    with _locked():
        presets = read_presets()
        if presets.pop(name, None) is not None:
            _write(presets)


def name_error(name: str) -> str | None:
    """Why a new preset cannot be called this; None when it can."""
    if reason := _kept_name_error(name):
        return reason
    return f"{name.strip()} is built in: choose another name" if name.strip() in EXAMPLES else None


def _kept_name_error(name: str) -> str | None:
    """Why there cannot be a preset of this name in the file; a name may be older than a built-in one."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        return f"a name has 1 to {MAX_NAME} printable characters"
    return f"{name} is a published one: choose another name" if name in PUBLISHED else None


def _objects(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON, line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    presets = content.get("presets") if isinstance(content, dict) else None
    if not isinstance(presets, dict):
        raise ValueError('should be {"presets": {NAME: {"spec": …}, …}}')
    return presets


def _preset(name: str, fields: object) -> Preset:
    if reason := _kept_name_error(name):
        raise ValueError(f"preset {name[:MAX_NAME]!r}: {reason}")
    if not isinstance(fields, dict) or not isinstance(fields.get("spec"), dict):
        raise ValueError(f'preset {name!r}: should be {{"spec": …, "break_points": …}}')
    break_points = fields.get("break_points", [])
    if not isinstance(break_points, list) or not all(isinstance(item, str) for item in break_points):
        raise ValueError(f"preset {name!r}: break_points: should be a list of texts")
    try:
        return Preset(parse_spec(**fields["spec"]), tuple(break_points))
    except UserError as error:
        raise ValueError(f"preset {name!r}: {error}") from error


def _write(presets: Mapping[str, Preset]) -> None:
    content = {
        "presets": {
            name: {"spec": preset.spec.model_dump(mode="json"), "break_points": list(preset.break_points)}
            for name, preset in presets.items()
        }
    }
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    file = presets_file().resolve()  # a link, as people have who keep their settings elsewhere, stays one
    try:
        replace_file(file, text)
    except OSError as error:
        raise UserError(f"presets: {file} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One program at a time reads, changes and writes the file."""
    from filelock import FileLock, Timeout

    lock = state_dir() / "presets.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        raise UserError(f"presets: another program holds {lock}") from error
    except OSError as error:
        raise UserError(f"presets: {lock} cannot be written: {error.strerror}") from error
