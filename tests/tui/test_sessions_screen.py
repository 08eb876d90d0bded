"""Notes as lines, excerpts and orders of sessions; and what their screens do when something goes wrong."""

import sqlite3
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.store import sessions
from engine.store.reading import Reader
from engine.store.records import SessionRecord, SessionSummary
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, row
from tests.tui.screen import SMALL, expect, expect_said, expect_shown, lines, opened, runs_of, text
from tui.hit_text import cut, excerpt
from tui.markdown_lines import markdown_lines
from tui.session_rows import (
    SessionFigures,
    SessionOrder,
    in_order,
    passing,
    session_header,
    session_line,
)
from tui.widgets.field_editor import FieldEditor
from tui.wrapping import Line

HOSTILE = "\x1b[2J[bold]\u202e\U0001f600" + "x" * 500


def plain(line: Line) -> str:
    return "".join(piece for piece, _ in line)


def shown(notes: str, width: int = 40) -> list[str]:
    return [plain(line) for line in markdown_lines(notes, width)]


def test_markdown_is_shown_as_what_it_means() -> None:
    notes = "# Plan\nSome **bold** and *soft* `code`\n- a\n- b\n  1. c\n\n> said\n\n```\nx = 1\n```\n---"
    assert shown(notes) == [
        "Plan",
        "",
        "Some bold and soft code",
        "",
        "• a",
        "• b",
        "  1. c",
        "",
        "▌ said",
        "",
        "x = 1",
        "",
        "─" * 40,
    ]
    tones = {piece: tone for line in markdown_lines(notes, 40) for piece, tone in line if tone}
    assert {"Plan": "heading", "bold": "strong", "soft": "emphasis", "code": "code"}.items() <= tones.items()


def test_nothing_in_notes_is_obeyed() -> None:
    notes = "<script>x</script> [here](http://evil) ![pic](file:///etc) \x1b[2J [bold]no[/bold] &lt;"
    assert shown(notes, 100) == [
        "<script>x</script> here (http://evil) ![pic](file:///etc) ␛[2J [bold]no[/bold] <"
    ]


@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_notes_fit_into_every_width(width: int) -> None:
    notes = "- " * 30 + HOSTILE + "\n\n" + "> " * 30 + "a\n\n1. " + "日本語 " * 30
    for line in markdown_lines(notes, width):
        if width >= 40:
            assert cell_len(plain(line)) <= width
        assert plain(line).isprintable()


def test_an_excerpt_shows_the_first_place() -> None:
    sentence = "one two three four five six seven eight nine ten"
    at = sentence.index("nine")
    pieces = excerpt(sentence, [(at, at + 4)], 20)
    assert ("nine", "changed") in pieces
    assert plain(pieces).startswith("…")
    assert cell_len(plain(pieces)) <= 20
    assert plain(excerpt(sentence, [(0, 3)], 100)) == sentence
    assert plain(excerpt(sentence, [(0, 3)], 10)) == "one two t…"


@pytest.mark.parametrize("width", [0, 1, 2, 10, 80])
def test_excerpts_of_hostile_texts_fit(width: int) -> None:
    for spans in ((), ((0, 3),), ((12, 40), (100, 400))):
        said = plain(excerpt(HOSTILE, spans, width))
        assert cell_len(said) <= width
        assert said.isprintable()
    assert plain(cut([("日本", ""), ("語", "changed")], 5)) == "日本…"


def figures(key: int, name: str, **values: object) -> SessionFigures:
    record = SessionRecord(key, name, 0.0, str(values.get("notes", "")), (), False, 1)
    summary = SessionSummary(record, int(str(values.get("matches", 0))), float(key))
    return SessionFigures(summary, values.get("loss"), values.get("size"))  # type: ignore[arg-type]


def test_sessions_in_order() -> None:
    rows = [
        figures(1, "b", loss=None, size=5, matches=1),
        figures(2, "A", loss=-0.5, size=None),
        figures(3, "c", loss=2.0, size=9, matches=3, notes="A dragon"),
    ]
    orders = {order: [row.summary.session.name for row in in_order(rows, order)] for order in SessionOrder}
    assert orders == {
        SessionOrder.ACTIVE: ["c", "A", "b"],
        SessionOrder.LOSS: ["A", "c", "b"],
        SessionOrder.MATCHES: ["c", "b", "A"],
        SessionOrder.SIZE: ["c", "b", "A"],
        SessionOrder.NAME: ["A", "b", "c"],
    }
    assert [row.summary.session.name for row in passing(rows, "DRAG")] == ["c"]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_columns_stand_under_their_titles(width: int) -> None:
    header = plain(session_header(width))
    line = plain(
        session_line(figures(1, "\x1b[bold]" + "x" * 500, loss=1.5, size=2048, matches=2), width, 1.0)
    )
    assert cell_len(line) <= width
    assert line.isprintable()
    for title, value in (("runs", "1"), ("match", "2"), ("loss", "1.5000"), ("size", "2.0 KiB")):
        end = header.index(title) + len(title)
        assert line[:end].endswith(value)


async def test_a_long_list_of_sessions_at_80_by_24(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    for number in range(40):
        recording.queue(session=f"{HOSTILE[:20]}{number}" if number % 2 else f"s{number}")
    async with opened(database, control, size=SMALL) as user:
        await expect(user, lambda: len(runs_of(user).runs) == 40)
        await user.press("B")
        await expect_shown(user, "40 sessions, 40 runs", "esc close")
        assert all(cell_len(line) <= 80 for line in lines(user))


async def test_what_cannot_be_read_is_said(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.queue()
    async with opened(database, control) as user:
        await expect_shown(user, "1 run")
        await user.press("B")
        await expect_shown(user, "1 session, 1 run")
        connection = sqlite3.connect(database)
        connection.execute("ALTER TABLE session RENAME COLUMN notes TO remarks")
        connection.close()
        await expect_said(user, "no such column: notes")


async def test_notes_with_escape_sequences_reach_no_editor(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.queue()
    sessions.set_notes(database, 1, "a\x1b[2Jb\r\nc\u202ed")
    async with opened(database, control) as user:
        await expect_shown(user, "1 run")
        await user.press("B")
        await expect_shown(user, "1 session", "a␛[2Jb")
        await user.press("n")
        await expect_shown(user, "Notes on today", "a [2Jb")
        await user.press("escape")
        await expect(user, lambda: "Notes on" not in text(user))
    with Reader(database) as reader:
        assert reader.session("today").notes == "a\x1b[2Jb\r\nc\u202ed"


async def test_a_running_run_changes_its_sessions_line(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    run = recording.begin()
    async with opened(database, control) as user:
        await expect_shown(user, "1 run")
        await user.press("B")
        await expect_shown(user, "1 session, 1 run")
        recording.steps(run, [row(run, 0, loss=2.5)])
        await expect_shown(user, "2.5000")


async def test_the_title_counts_the_runs_that_are_shown(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    for session in ("cheese", "cheese", "zebra"):
        recording.queue(session=session)
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "3 runs")
        await user.press("B")
        await expect_shown(user, "2 sessions, 3 runs, last active first")
        await user.press("slash", *"chee")
        await expect_shown(user, "1 of 2 sessions, 2 of 3 runs, last active first")
        await user.press("escape")
        await expect_shown(user, "2 sessions, 3 runs, last active first")


async def test_tags_and_every_key_are_shown_at_80_by_24(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.queue(session="zebra")
    sessions.set_tags(database, 1, ["[b]slow[/b]", *(f"a longer tag {number}" for number in range(9))])
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "1 run")
        await user.press("B")
        await expect_shown(user, " zebra  [b]slow[/b], a longer t…  ", "tags  [b]slow[/b], a longer tag 0, ")
        await expect_said(user, "a longer tag 8")
        keys = "\n".join(lines(user)[-2:])
        for key in (
            *("enter open", "f find text", "/ filter", "S order", "r rename", "n notes", "t tags"),
            *("a archive", "A archived", "del delete", "u undo", "esc close"),
        ):
            assert key in keys
        sessions.set_tags(database, 1, [])
        recording.queue()  # the screen looks again when something comes
        await expect(user, lambda: " tags  [b]" not in text(user))
        assert not user.app.screen.query_one("#session-notes").display


async def test_the_keys_of_the_search_are_named(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    recording.queue()
    async with opened(database, control, size=SMALL) as user:
        await expect_shown(user, "1 run")
        await user.press("B")
        await expect_shown(user, "1 session")
        await user.press("f")
        await expect_shown(user, "enter go there  ↑/↓ move  pgup/pgdn page  esc back to the sessions")


async def test_a_run_is_renamed_and_moved_at_once_or_not_at_all(
    database: Path, control: RecordingControl, recording: Recording
) -> None:
    run = recording.queue(name="first")
    async with opened(database, control) as user:
        await expect_shown(user, "1 run")
        for name, session, wrong in (
            ("x" * 201, "another", "name: "),
            ("bold", "x" * 201, "session: "),
        ):
            await user.press("f2")
            await expect_shown(user, "next field")
            fields = user.app.screen.query(FieldEditor)
            fields.first().value, fields.last().value = name, session
            await user.press("enter")
            await expect_shown(user, wrong, "a name has 1 to 200")
            await user.press("escape")
            with Reader(database) as reader:
                assert (reader.run(run).name, reader.run(run).session) == ("first", "today")
                assert [each.name for each in reader.sessions()] == ["today"]
        await user.press("f2")
        await expect_shown(user, "next field")
        fields = user.app.screen.query(FieldEditor)
        fields.first().value, fields.last().value = "bold", "another"
        await user.press("enter")
        await expect_shown(user, "another/1  bold")
