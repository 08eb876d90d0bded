"""Where a user's own files are: the XDG base directories, `sonar-explore` below them."""

import os
from pathlib import Path

DIRECTORY = "sonar-explore"

CONFIG_FILE = "config.toml"
"""What the user sets, in `config_dir()`."""


def config_dir() -> Path:
    """What the user has set: `$XDG_CONFIG_HOME/sonar-explore`, else `~/.config/sonar-explore`."""
    return base("XDG_CONFIG_HOME", ".config") / DIRECTORY


def state_dir() -> Path:
    """What the program remembers: `$XDG_STATE_HOME/sonar-explore`, else `~/.local/state/sonar-explore`."""
    return base("XDG_STATE_HOME", ".local/state") / DIRECTORY


def cache_dir() -> Path:
    """What the program can find out again: `$XDG_CACHE_HOME/sonar-explore`, else `~/.cache/sonar-explore`."""
    return base("XDG_CACHE_HOME", ".cache") / DIRECTORY


def base(variable: str, below_home: str) -> Path:
    """The directory of the variable; one that is not absolute does not count, as the XDG rules say."""
    named = os.environ.get(variable, "")
    return Path(named) if Path(named).is_absolute() else Path.home() / below_home
