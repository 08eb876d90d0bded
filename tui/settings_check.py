"""Check what the user has set, with pydantic-settings: slow to import, so only when something is set."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from engine.catalog.user_bundles import TABLE, parse_bundles
from engine.errors import UserError
from tui.settings import DEFAULT, PREFIX, Effective, Settings, ThemeName, config_path, variable

_DEFAULTS = Settings()
_FLAGS = {"database": "--db", "mouse": "--no-mouse"}
"""Flags that are not called like their setting."""


def _with_places(keys: object) -> object:
    """`{"table": {"row_up": "w"}}`, which TOML makes of `table.row_up = "w"`, as `{"table.row_up": "w"}`."""
    if not isinstance(keys, dict):
        return keys
    flat: dict[str, object] = {}
    for name, value in keys.items():
        inner = {f"{name}.{action}": key for action, key in value.items()} if isinstance(value, dict) else {}
        flat.update(inner or {name: value})
    return flat


class _Environment(EnvSettingsSource):
    """The environment, where the database has a variable that is not called like its setting.

    Bundles are described in the file alone, where workers read them too.
    """

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        values = {name: value for name, value in found.items() if name not in ("database", TABLE)}
        database = os.environ.get(variable("database"))
        return {**values, "database": database} if database else values


class _CheckedSettings(BaseSettings):
    """The settings, each with what is allowed."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", allow_inf_nan=False
    )

    theme: ThemeName = "sonar"
    refresh_hz: float = Field(default=_DEFAULTS.refresh_hz, ge=0.5, le=10)
    bundle: str = Field(default=_DEFAULTS.bundle, min_length=1, max_length=100)
    database: str = Field(default=_DEFAULTS.database, min_length=1)
    bell: bool = _DEFAULTS.bell
    ascii: bool = _DEFAULTS.ascii
    mouse: bool = _DEFAULTS.mouse
    idle_minutes: float = Field(default=_DEFAULTS.idle_minutes, gt=0, le=100_000)
    runs_together: int = Field(default=_DEFAULTS.runs_together, ge=0, le=128)
    keys: Annotated[dict[str, str], BeforeValidator(_with_places)] = Field(default_factory=dict)
    bundles: Any = Field(default=None, exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=config_path())
        return init_settings, _Environment(settings_cls), file


def check(file: Mapping[str, object], flags: Mapping[str, object]) -> Effective:
    """Put the settings together.

    Args:
        file: What the file says; only to tell where a value comes from.
        flags: What the command line says.

    Raises:
        UserError: one line that names each wrong value, where it is, and what is allowed.
    """
    try:
        checked = _CheckedSettings(**flags)  # type: ignore[arg-type]  # being checked is what they are here for
    except ValidationError as error:
        raise UserError("; ".join(_explain(dict(detail), file, flags) for detail in error.errors())) from None
    except SettingsError as error:
        raise UserError(f"environment: {error}: a table of keys is written as JSON") from None
    parse_bundles(file.get(TABLE, {}), config_path())
    settings = Settings(**checked.model_dump())
    places = {name: _origin(name, file, flags) for name in Settings.__dataclass_fields__ if name != "keys"}
    in_file = _with_places(file.get("keys", {}))
    assert isinstance(in_file, dict)
    keys = {
        f"keys.{name}": str(config_path()) if in_file.get(name) == key else variable("keys")
        for name, key in settings.keys.items()
    }
    return Effective(settings, places | keys)


def _origin(name: str, file: Mapping[str, object], flags: Mapping[str, object]) -> str:
    if name in flags:
        return _FLAGS.get(name, f"--{name}")
    if os.environ.get(variable(name)):
        return variable(name)
    return str(config_path()) if name in file else DEFAULT


def _explain(detail: dict[str, Any], file: Mapping[str, object], flags: Mapping[str, object]) -> str:
    name = str(detail["loc"][0])
    origin = _origin(name, file, flags)
    field = ".".join(map(str, detail["loc"]))
    where = f"{origin}: {field}" if origin == str(config_path()) else origin
    if detail["type"] == "extra_forbidden":
        return f"{where}: is no setting; there are {', '.join((*Settings.__dataclass_fields__, TABLE))}"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ").partition(", unable")[0]
    shown = repr(detail["input"])
    return f"{where}: {shown if len(shown) <= 60 else shown[:57] + '...'}: {message}"
