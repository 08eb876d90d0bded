"""Where a user's own files are; the engine reads some of them too."""

from engine.user_directories import CONFIG_FILE, config_dir, state_dir

__all__ = ["CONFIG_FILE", "config_dir", "state_dir"]
