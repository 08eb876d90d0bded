"""What the dialog for exports does, as a user sees it."""

from pathlib import Path

from engine.spec import PUBLISHED_TARGET
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User, expect, expect_shown, text
from tui.actions import Place
from tui.widgets.field_editor import FieldEditor


def editor_of(user: User) -> FieldEditor:
    return user.app.screen.query_one(FieldEditor)


@behaviour(Place.EXPLORER, "export")
@behaviour(Place.EXPORT_RUNS, "write")
async def _e_writes_the_selected_run_to_a_report(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("E")
    await expect_shown(user, "what    run today/3", "format  report for a browser", "run-3.html")
    path = recording.path.parent / "mine.html"
    editor_of(user).value = str(path)
    await user.press("enter")
    await expect_shown(user, "Wrote run today/3 to")
    html = path.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert PUBLISHED_TARGET in html
    assert "what    run" not in text(user)


@behaviour(Place.EXPORT_RUNS, "next_subject")
async def _tab_goes_from_the_run_to_its_session(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("E")
    await expect_shown(user, "what    run today/3", "run-3.html")
    await user.press("tab")
    await expect_shown(user, "what    session today", "today.html")
    await user.press("tab")
    await expect_shown(user, "what    run today/3", "run-3.html")


@behaviour(Place.EXPORT_RUNS, "next_format", "previous_format")
async def _arrows_change_the_format_and_with_it_the_name(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("E")
    await expect_shown(user, "format  report for a browser", "run-3.html")
    await user.press("down")
    await expect_shown(user, "format  Markdown", "run-3.md")
    await user.press("up", "up")
    await expect_shown(user, "format  bundle: the whole session", "what    session today", "today.zip")


@behaviour(Place.EXPORT_RUNS, "cancel")
async def _escape_writes_nothing(user: User, control: RecordingControl, recording: Recording) -> None:
    before = _files(recording.path.parent)
    await user.press("E")
    await expect_shown(user, "what    run today/3")
    editor_of(user).value = str(recording.path.parent / "never.html")
    await user.press("escape")
    await expect(user, lambda: "what    run" not in text(user))
    assert _files(recording.path.parent) == before


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
