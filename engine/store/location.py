"""Which database a command means."""

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "SONAR_EXPLORE_DB"
DEFAULT = Path("sessions.db")


def database_path(option: Path | None = None) -> Path:
    """The path given as an option, else by SONAR_EXPLORE_DB, else `./sessions.db`."""
    return option or Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT)
