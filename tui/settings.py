"""What the user has set: flags before the environment before `config.toml` before the defaults.

Checking is done by pydantic-settings, whose import takes longer than the first paint can wait for. So it is
only imported when something is set, and what was found good is remembered until it changes.
"""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from engine import __version__
from engine.errors import UserError
from engine.store.location import ENVIRONMENT_VARIABLE as DATABASE_VARIABLE
from tui.files import replace_file
from tui.paths import CONFIG_FILE, config_dir, state_dir

PREFIX = "SONAR_EXPLORE_"
ThemeName = Literal["sonar", "light", "colour-blind", "ansi"]
THEME_NAMES: tuple[str, ...] = get_args(ThemeName)
DEFAULT = "default"
"""Where a value comes from that nobody has set."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, with its default."""

    theme: str = "sonar"
    """One of THEME_NAMES; tui.themes has their colours."""

    refresh_hz: float = 5.0
    """How often the database is looked at, per second."""

    bundle: str = "mini"
    """Model bundle of new runs."""

    database: str = "sessions.db"
    """Path of the database."""

    bell: bool = True
    """Ring when a run matches, finishes or fails."""

    ascii: bool = False
    """Draw without braille, box-drawing and other signs outside ASCII."""

    mouse: bool = True
    """Ask the terminal for the mouse."""

    idle_minutes: float = 10.0
    """Minutes without work after which a worker leaves."""

    runs_together: int = 0
    """So many runs a worker steps as one batch at most; 0: as many as the card has memory for, one on the
    CPU."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of actions, by the action's name, or by its place and name: `table.row_up`."""

    @property
    def database_path(self) -> Path:
        """The database, with the home directory in place of `~`."""
        return Path(self.database).expanduser()


@dataclass(frozen=True)
class Effective:
    """The settings in force, and where each comes from."""

    settings: Settings
    origins: Mapping[str, str]
    """By the setting's name, and by `keys.NAME` for each key: the flag, variable or file, or `default`."""


def config_path() -> Path:
    """The file that the user edits; it need not exist."""
    return config_dir() / CONFIG_FILE


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return DATABASE_VARIABLE if name == "database" else PREFIX + name.upper()


def load(flags: Mapping[str, object] | None = None) -> Effective:
    """The settings in force.

    Args:
        flags: What the command line says, by the setting's name; None for a flag that was not given.

    Raises:
        UserError: one line that names the file, variable or flag, the value, and what is allowed.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    environment = {name: os.environ[variable(name)] for name in _NAMES if os.environ.get(variable(name))}
    text = _read(config_path())
    if not (given or environment or text):
        return Effective(Settings(), {name: DEFAULT for name in _NAMES if name != "keys"})
    found = json.dumps([__version__, str(config_path()), given, environment, text], default=str)
    fingerprint = hashlib.sha256(found.encode("utf-8", "surrogatepass")).hexdigest()
    effective = _remembered(fingerprint)
    if effective is None:
        from tui.settings_check import check

        effective = check(_parse(text), given)
        _remember(fingerprint, effective)
    _check_keys(effective)
    return effective


def hand_on(effective: Effective) -> None:
    """Put into the environment what the engine and the workers read there; what is there stays."""
    settings = effective.settings
    if effective.origins["database"] == str(config_path()):
        os.environ[DATABASE_VARIABLE] = str(settings.database_path)
    if effective.origins["idle_minutes"] != DEFAULT:
        os.environ[variable("idle_minutes")] = f"{settings.idle_minutes:g}"
    if effective.origins["runs_together"] != DEFAULT:
        os.environ[variable("runs_together")] = str(settings.runs_together)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None


def _parse(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{config_path()}: is not TOML: {error}") from None


def _check_keys(effective: Effective) -> None:
    """Also of remembered settings: which actions there are is not what was remembered."""
    if effective.settings.keys:
        from tui.keymap import Keymap

        try:
            Keymap(effective.settings.keys)
        except UserError as error:
            places = dict.fromkeys(effective.origins[f"keys.{name}"] for name in effective.settings.keys)
            raise UserError(f"{', '.join(places)}: keys: {error}") from None


def _checked_path() -> Path:
    return state_dir() / "checked-settings.json"


def _remembered(fingerprint: str) -> Effective | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        stored = json.loads(_checked_path().read_text(encoding="utf-8"))
        if stored["fingerprint"] == fingerprint:
            return Effective(Settings(**stored["settings"]), dict(stored["origins"]))
    return None


def _remember(fingerprint: str, effective: Effective) -> None:
    stored = {
        "fingerprint": fingerprint,
        "settings": asdict(effective.settings),
        "origins": dict(effective.origins),
    }
    with suppress(OSError):  # it is only quicker next time
        replace_file(_checked_path(), json.dumps(stored))


_NAMES = tuple(Settings.__dataclass_fields__)
