"""`config`: what is set, and where each value comes from."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from tui.forms import ConfigForm
from tui.settings import config_path, load
from tui.text import safe_text


def config(
    form: Annotated[
        ConfigForm, typer.Option("--format", help="How the settings are printed.")
    ] = ConfigForm.TABLE,
    path: Annotated[bool, typer.Option("--path", help="Only print where the file is, or would be.")] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="Print the keys of all actions, as the file takes them.")
    ] = False,
) -> None:
    """Print the settings in force, and where each comes from.

    They are set in config.toml, by SONAR_EXPLORE_… in the environment, and by flags, each stronger than the
    one before.
    """
    if path:
        typer.echo(config_path())
        return
    effective = load()
    if keys:
        _print_keys(effective.settings.keys)
        return
    values = {name: getattr(effective.settings, name.partition(".")[0]) for name in effective.origins}
    values |= {f"keys.{name}": key for name, key in effective.settings.keys.items()}
    if form is ConfigForm.JSON:
        settings = {name: {"value": value, "from": effective.origins[name]} for name, value in values.items()}
        typer.echo(json.dumps({"file": str(config_path()), "settings": settings}, ensure_ascii=False))
        return
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    names, cells = max(map(len, values)), max(map(len, shown.values()))
    for name, value in shown.items():
        typer.echo(f"{name:<{names}}  {safe_text(value):<{cells}}  {safe_text(effective.origins[name])}")


def _print_keys(keys: Mapping[str, str]) -> None:
    """Every action's keys in TOML, with what it does."""
    from tui.actions import binding_id
    from tui.keymap import Keymap

    typer.echo("[keys]")
    for action in Keymap(keys).actions:
        typer.echo(f"{binding_id(action)} = {json.dumps(action.keys)}  # {action.help}")
