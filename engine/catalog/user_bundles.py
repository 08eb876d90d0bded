"""The user's own bundles: the tables `[bundles.NAME]` of config.toml."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundles import BUNDLES, Bundle
from engine.errors import UserError
from engine.user_directories import CONFIG_FILE, config_dir

if TYPE_CHECKING:
    from pydantic import ValidationError

TABLE = "bundles"
"""Name of the table in config.toml that holds a table for each bundle."""


def user_bundles() -> Mapping[str, Bundle]:
    """The bundles that config.toml describes now, by their names.

    Raises:
        UserError: the file cannot be read, or describes a bundle wrongly.
    """
    path = config_dir() / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return _bundles_in(path, text) if TABLE in text else {}


def parse_bundles(tables: object, path: Path) -> dict[str, Bundle]:
    """Read the table `bundles` of a file.

    Args:
        tables: What TOML makes of it.
        path: Of the file, for what is said about it.

    Raises:
        UserError: one line that names the file and each wrong entry, its value and what is allowed.
    """
    if not isinstance(tables, dict) or not all(isinstance(entry, dict) for entry in tables.values()):
        raise UserError(f"{path}: {TABLE}: should be tables, [{TABLE}.NAME] each")
    from pydantic import ValidationError  # slow to import, and most users have no bundle of their own

    from engine.catalog.bundle_entry import NAME, BundleEntry

    bundles = {}
    for name, entry in tables.items():
        where = f"{path}: {TABLE}.{name}"
        if not NAME.fullmatch(name):
            raise UserError(f"{where}: a name is of letters, digits and . _ -, at most 100")
        if name in BUNDLES:
            raise UserError(f"{where}: a bundle of this name comes with the program; take another name")
        try:
            bundles[name] = BundleEntry.model_validate(entry).bundle(name)
        except ValidationError as error:
            raise UserError("; ".join(_explained(error, where, tuple(BundleEntry.model_fields)))) from None
    return bundles


@lru_cache(maxsize=1)
def _bundles_in(path: Path, text: str) -> dict[str, Bundle]:
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is not TOML: {error}") from None
    return parse_bundles(content.get(TABLE, {}), path)


def _explained(error: "ValidationError", where: str, fields: tuple[str, ...]) -> list[str]:
    lines = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
        match detail["type"]:
            case "extra_forbidden":
                lines.append(f"{where}.{key}: is no entry; there are {', '.join(fields)}")
            case "missing":
                lines.append(f"{where}.{key}: is missing")
            case _:
                shown = repr(detail["input"])
                lines.append(f"{where}.{key}: {shown if len(shown) <= 60 else shown[:57] + '...'}: {message}")
    return lines
