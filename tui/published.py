"""The published experiment without a screen."""

from pathlib import Path


def run_published_experiment(database: Path) -> int:
    """Queue the published experiment, follow it, and print its table in the published form.

    Returns:
        The exit code: 0, or 1 when the run failed.
    """
    from engine.control import queue_run
    from engine.spec import RunSpec
    from tui.follow import follow
    from tui.forms import Form

    run_id = queue_run(database, RunSpec(), name="published experiment")
    return follow(database, run_id, Form.MARKDOWN)
