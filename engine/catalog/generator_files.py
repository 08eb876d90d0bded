"""Which files of a directory in SONAR-LLM's layout are its configuration and its weights."""

import json
from pathlib import Path

from engine.errors import UserError

CONFIG_FILE = "config.json"
SAFETENSORS_FILE = "model.safetensors"
INDEX_FILE = f"{SAFETENSORS_FILE}.index.json"
"""Says which of several safetensors files holds which tensor."""

PICKLE_FILE = "pytorch_model.bin"


def weight_files(directory: Path) -> list[Path]:
    """The files of a directory that hold its weights: safetensors where there are any, one or several.

    Raises:
        UserError: there are none, the index of several cannot be read, or one that it names is missing.
    """
    if (directory / SAFETENSORS_FILE).is_file():
        return [directory / SAFETENSORS_FILE]
    if (directory / INDEX_FILE).is_file():
        files = [directory / name for name in files_of_index(directory / INDEX_FILE)]
        if missing := [file.name for file in files if not file.is_file()]:
            raise UserError(f"{directory}: {', '.join(missing)} missing, which {INDEX_FILE} names")
        return files
    if (directory / PICKLE_FILE).is_file():
        return [directory / PICKLE_FILE]
    raise UserError(f"{directory}: holds no weights: expected {SAFETENSORS_FILE} or {PICKLE_FILE}")


def files_of_index(path: Path) -> list[str]:
    """The names of the files that an index speaks of.

    Raises:
        UserError: it cannot be read, or names something that is no file beside it.
    """
    try:
        names = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not an index of safetensors files") from None
    if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
        raise UserError(f"{path}: should name safetensors files beside it")
    return sorted(names)


def is_complete(directory: Path) -> bool:
    """Whether a directory holds a configuration and all of its weights."""
    try:
        return bool(weight_files(directory)) and (directory / CONFIG_FILE).is_file()
    except UserError:
        return False
