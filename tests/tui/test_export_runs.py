"""The dialog for exports: names, what is there already, bundles, hostile names."""

from pathlib import Path

from engine.sharing.importing import import_session
from engine.store.reading import Reader
from tests.tui.actions_export import editor_of
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, expect, expect_said, expect_shown, lines, opened, runs_of, text


async def test_a_file_that_is_there_is_overwritten_at_the_second_press(
    database: Path, control: RecordingControl, recording: Recording, tmp_path: Path
) -> None:
    recording.steps(recording.begin(), published_like_rows(1, 11))
    path = tmp_path / "old.csv"
    path.write_text("old", encoding="utf-8")
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "today/1")
        await user.press("E")
        await expect_shown(user, "what    run today/1")
        editor_of(user).value = str(path)
        await user.press("enter")
        await expect_shown(user, "format  CSV: every row", "is there already: enter overwrites it")
        assert path.read_text(encoding="utf-8") == "old"
        await user.press("enter")
        await expect_shown(user, "Wrote run today/1 to")
    assert path.read_text(encoding="utf-8").startswith("run,step,loss,")


async def test_what_cannot_be_written_says_why_and_stays_open(
    database: Path, control: RecordingControl, recording: Recording, tmp_path: Path
) -> None:
    recording.steps(recording.begin(), published_like_rows(1, 3))
    async with opened(database, control) as user:
        await expect_shown(user, "today/1")
        await user.press("E")
        await expect_shown(user, "what    run today/1")
        for typed, reason in (
            ("", "to: give the name of a file"),
            (str(tmp_path / "a.xlsx"), "the name should end in one of .md, .csv"),
            (str(tmp_path / "missing" / "a.md"), "No such file or directory"),
            (str(tmp_path / "a.safetensors"), "run 1 has no vectors to export"),
        ):
            editor_of(user).value = typed
            await user.press("enter")
            await expect_said(user, reason)
    assert not list(tmp_path.glob("a.*"))


async def test_the_marked_runs_come_first_and_a_session_goes_into_a_bundle(
    database: Path, control: RecordingControl, recording: Recording, tmp_path: Path
) -> None:
    hostile = "../[b]ev\x1bil[/b] ~/$(rm) \u202e"
    for _ in range(2):
        run = recording.begin(session=hostile)
        recording.steps(run, published_like_rows(run, 3))
    async with opened(database, control) as user:
        await expect(user, lambda: len(runs_of(user).runs) == 2)
        runs_of(user).marks.toggle(1)
        runs_of(user).marks.toggle(2)
        await user.press("E")
        await expect_shown(user, "what    the 2 marked runs", "runs-1-2.html")
        await user.press("tab", "tab")
        await expect_shown(user, "what    session ", "b-ev-il-b-rm.html")
        await user.press("up")
        await expect_shown(user, "format  bundle", "b-ev-il-b-rm.zip")
        assert "\x1b" not in text(user)
        path = tmp_path / editor_of(user).value
        editor_of(user).value = str(path)
        await user.press("enter")
        await expect_shown(user, "Wrote session")
    imported = import_session(path, tmp_path / "other.db")
    assert imported.session == hostile
    with Reader(tmp_path / "other.db") as reader:
        assert [run.last_step for run in reader.runs()] == [2, 2]


async def test_every_line_says_what_it_is_and_the_keys_what_they_change(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.steps(recording.begin(), published_like_rows(1, 3))
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "today/1")
        await user.press("E")
        await expect_shown(user, "enter write  tab what  ↑/↓ format  esc cancel")
        shown = [line.partition("│")[2].split() for line in lines(user) if "│ " in line]
        assert [line[0] for line in shown if line[0] in ("what", "format", "file")] == [
            "what",
            "format",
            "file",
        ]
        assert ["file", "run-1.html"] in [line[:2] for line in shown]
