"""Pictures of what is done with saved runs; none depends on the time, on the day or on the folder."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.spec import PUBLISHED_TARGET
from engine.store import sessions
from engine.store.connection import connect
from engine.store.records import Status
from engine.vector_path import Point, result_of
from engine.verdict import Difference, Verdict
from tests.tui.actions_vectors import a_vector, go_to_row, keep
from tests.tui.actions_verify import taken_up
from tests.tui.pictures import Compare, app_on, sizes
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import MEDIUM, SMALL, expect, expect_said, expect_shown, text

_HOSTILE_NAME = "../[b]ev\x1bil[/b] ~/$(rm) \u202e日本語"
_HOSTILE_TEXT = "A mouse [bold]no[/bold] \x1b[2J\u202etxt.exe 日本語 👩‍👩‍👧 e" + "\u0301" * 9 + " mouse" * 40
_NOTES = """# What was tried
Decoder CE with **lr 0.01**, from `I eat cheese every day.`

- finds the target at *step 10*
- [bold]is not obeyed[/bold], nor is \x1b[2J

> z says something else: see the other session
"""


@pytest.fixture(autouse=True)
def words_are_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures do not depend on the tokenizer that is shipped."""
    monkeypatch.setattr("engine.tokens.count_tokens", lambda bundle, text: len(text.split()))


def _ended(recording: Recording, session: str, steps: int, *texts: str) -> int:
    """A run that has ended, and that said these texts before anything else."""
    run = recording.begin(session=session)
    rows = published_like_rows(run, steps)
    for step, said in enumerate(texts):
        rows[step] = rows[step]._replace(decoded_prediction=said, match=False)
    recording.steps(run, rows)
    recording.end(run, steps - 1, Status.FINISHED)
    return run


def _on_one_day(database: Path) -> None:
    """As if all runs had been made on a day that has gone by, one an hour."""
    noon = time.mktime((2021, 11, 22, 12, 0, 0, 0, 0, -1))
    with closing(connect(database)) as connection:
        moment = f"{noon} + 3600 * id"
        connection.execute(f"UPDATE run SET created = {moment}, started = {moment}, ended = {moment}")


@pytest.fixture
def library(database: Path, recording: Recording) -> Path:
    """Four sessions, one of them archived; `Decoder CE` has notes and tags."""
    _ended(recording, "Cosine alone", 31)
    _ended(recording, "Decoder CE", 101, "Yesterday I ate cheese.", "Cheese? Yes, every day.")
    _ended(recording, "Decoder CE", 61)
    _ended(recording, _HOSTILE_NAME, 31, _HOSTILE_TEXT)
    _ended(recording, "Put away", 31)
    sessions.set_tags(database, 2, ["published", "lr 0.01"])
    sessions.set_notes(database, 2, _NOTES)
    sessions.set_tags(database, 3, ["[b]x[/b]", "日本語"])
    sessions.set_tags(database, 4, ["old"])
    sessions.set_archived(database, 4, True)
    _on_one_day(database)
    return database


async def _browse(user: Pilot[object]) -> None:
    """Open the table of the sessions, with the cursor on the one that has notes."""
    await expect_shown(user, "4 runs, newest first")
    await user.press("B")
    await expect_shown(user, "3 sessions, 1 archived hidden")
    await expect(user, lambda: text(user).count(" KiB") == 3)
    await user.press("home", "down")
    await expect_shown(user, "What was tried")


@sizes(SMALL, MEDIUM)
def test_sessions(snap_compare: Compare, library: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _browse(user)
        await user.press("A")
        await expect_shown(user, "4 sessions, 1 archived shown")
        await expect(user, lambda: text(user).count(" KiB") == 4)
        await user.press("home", "down", "down")
        await expect_shown(user, "What was tried")

    assert snap_compare(app_on(library), terminal_size=size, run_before=shown)


def test_filtered_sessions(snap_compare: Compare, library: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _browse(user)
        await user.press("slash", *"published CE")
        await expect_shown(user, "1 of 3 sessions")

    assert snap_compare(app_on(library), terminal_size=SMALL, run_before=shown)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param("ye", "Said by 4 runs", id="hits"),
        pytest.param("mouse", "Said by 1 run", id="hostile"),
        pytest.param('unicorn" OR [b]', "No run ever decoded to that", id="nothing"),
    ],
)
def test_search(snap_compare: Compare, library: Path, query: str, shown: str) -> None:
    async def searched(user: Pilot[object]) -> None:
        await _browse(user)
        await user.press("f")
        await expect_shown(user, "Search all texts that were ever decoded")
        await user.press(*query)
        await expect_shown(user, query, shown)

    assert snap_compare(app_on(library), terminal_size=SMALL, run_before=searched)


def test_rename_refused(snap_compare: Compare, library: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _browse(user)
        await user.press("r")
        await expect_shown(user, "Rename Decoder CE")
        await user.press("ctrl+u", *"Cosine alone", "enter")
        await expect_shown(user, "there is one of that name")

    assert snap_compare(app_on(library), terminal_size=SMALL, run_before=shown)


@sizes(SMALL, MEDIUM)
def test_notes(snap_compare: Compare, library: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _browse(user)
        await user.press("n")
        await expect_shown(user, "Notes on Decoder CE", "# What was tried")
        await user.press("escape")
        await expect_shown(user, "3 sessions")
        await user.press("n")
        await expect_shown(user, "Notes on Decoder CE")
        await user.press(*"- and more", "escape")
        await expect_shown(user, "The notes have changed")

    assert snap_compare(app_on(library), terminal_size=size, run_before=shown)


@pytest.fixture
def stored(database: Path, recording: Recording) -> Path:
    """Three runs with some vectors; the newest has a z at step 10 and no checkpoint."""
    for session in ("animals", "[b]no\x1b[2J[/b] 日本語", "today"):
        _ended(recording, session, 25)
    z = a_vector(1)
    keep(recording, 3, 10, z)
    keep(recording, 1, 20, z + 0.1 * a_vector(2))
    keep(recording, 1, 5, z + 0.2 * a_vector(3), "prediction")
    keep(recording, 2, 0, a_vector(4) - z)
    said = row(2, 25, decoded_z=_HOSTILE_TEXT, decoded_prediction=_HOSTILE_TEXT, match=False)
    recording.steps(2, [said])
    keep(recording, 2, 25, z + a_vector(5))
    return database


async def _open_row(user: Pilot[object]) -> None:
    await expect_shown(user, "3 runs, newest first", "today/1")
    await go_to_row(user, 10)
    await user.press("enter")
    await expect_shown(user, "step 10 of 100")


def test_fork_from_z_only(snap_compare: Compare, stored: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open_row(user)
        await user.press("f")
        await expect_shown(user, "Fork of today/1", "z only", "of 125 tokens")

    assert snap_compare(app_on(stored), terminal_size=SMALL, run_before=shown)


def test_fork_with_the_optimisers_state(snap_compare: Compare, stored: Path) -> None:
    with closing(connect(stored)) as connection:
        connection.execute("INSERT INTO checkpoint (run, step, created, data) VALUES (3, 10, 0, 'state')")

    async def shown(user: Pilot[object]) -> None:
        await _open_row(user)
        await user.press("f")
        await expect_shown(user, "Fork of today/1", "with the optimiser's state", "of 125 tokens")

    assert snap_compare(app_on(stored), terminal_size=SMALL, run_before=shown)


@sizes(SMALL, MEDIUM)
def test_nearest(snap_compare: Compare, stored: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open_row(user)
        await user.press("n")
        await expect_shown(user, "the nearest of each run", "animals/1")
        await user.press("a")
        await expect_shown(user, "the nearest 200 at most", "prediction")

    assert snap_compare(app_on(stored), terminal_size=size, run_before=shown)


def test_interpolation_dialog(snap_compare: Compare, stored: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open_row(user)
        await user.press("i")
        await expect_shown(user, "points between two z's")
        await user.press("ctrl+u", *"1:x")
        await expect_shown(user, "to: '1:x': should be RUN:STEP")

    assert snap_compare(app_on(stored), terminal_size=SMALL, run_before=shown)


def _answer(database: Path) -> None:
    """Finish the interpolation as the worker does."""
    texts = ("I eat cheese every day.", _HOSTILE_TEXT, PUBLISHED_TARGET)
    points = [
        Point(place / 2, 1.0, 1 - place / 2, place / 2, 3 - place, 0.25, place == 2, "A z.", said)
        for place, said in enumerate(texts)
    ]
    with closing(connect(database)) as connection:
        connection.execute(
            "UPDATE task SET status = 'done', done = 3, total = 3, result = ?",
            (json.dumps(result_of(points)),),
        )


@sizes(SMALL, MEDIUM)
def test_interpolation(snap_compare: Compare, stored: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open_row(user)
        await user.press("i")
        await expect_shown(user, "points between two z's")
        await user.press("ctrl+u", *"1:20", "tab", "ctrl+u", "3", "enter")
        await expect_shown(user, "waits for the worker")
        _answer(stored)
        await expect_shown(user, "3 points, linear")
        await user.press("down")
        await expect(user, lambda: text(user).count("A mouse") == 2)

    assert snap_compare(app_on(stored), terminal_size=size, run_before=shown)


@pytest.fixture
def verified(database: Path, recording: Recording) -> Path:
    _ended(recording, "today", 25)
    return database


async def _verify(user: Pilot[object]) -> None:
    await expect_shown(user, "■ finished")
    await user.press("V")
    await expect_shown(user, "today/1: verified against its record", "waits for the worker")


def _verdict(differences: Sequence[Difference], *other_ground: str) -> Verdict:
    largest = tuple(difference for difference in differences if difference.size is not None)
    return Verdict(1, 0, 24, other_ground, differences[0] if differences else None, 3, largest)


def test_verification_that_goes_on(snap_compare: Compare, verified: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _verify(user)
        with taken_up(verified) as (queue, task):
            queue.progress(task.id, 12, 25)
        await expect_shown(user, "making it again: 12 of 25 rows")

    assert snap_compare(app_on(verified), terminal_size=SMALL, run_before=shown)


_DIFFERENCES = (
    Difference(12, "decoded_prediction", "I eat cheese every day.", _HOSTILE_TEXT, None),
    Difference(14, "loss", 0.5, 0.25, 0.25),
    Difference(14, "terms.ce", 0.5, 0.25, 0.25),
    Difference(15, "z", None, None, 0.0625),
)


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        pytest.param(_verdict(()), "all equal, bit for bit", id="all-equal"),
        pytest.param(_verdict(_DIFFERENCES[1:]), "differs from step 14", id="differs"),
        pytest.param(
            _verdict(_DIFFERENCES, "torch: 2.9.1, recorded with 2.8", "device: cuda, recorded with cpu"),
            "differs from step 12",
            id="differs-elsewhere",
        ),
    ],
)
def test_verification(snap_compare: Compare, verified: Path, verdict: Verdict, shown: str) -> None:
    async def made_again(user: Pilot[object]) -> None:
        await _verify(user)
        with taken_up(verified) as (queue, task):
            queue.finish(task, verdict.to_result())
        await expect_shown(user, shown)

    assert snap_compare(app_on(verified), terminal_size=SMALL, run_before=made_again)


@pytest.fixture
def exported(database: Path, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in a session with a hostile name; files go into an empty folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _ended(recording, _HOSTILE_NAME, 25)
    return database


async def _export(user: Pilot[object]) -> None:
    await expect_shown(user, "■ finished")
    await user.press("E")
    await expect_shown(user, "what    run ", "format  report for a browser", "run-1.html")


def test_export_as_report(snap_compare: Compare, exported: Path) -> None:
    assert snap_compare(app_on(exported), terminal_size=SMALL, run_before=_export)


def test_export_as_bundle(snap_compare: Compare, exported: Path) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _export(user)
        await user.press("up")
        await expect_shown(user, "format  bundle", "what    session ", "b-ev-il-b-rm.zip")

    assert snap_compare(app_on(exported), terminal_size=SMALL, run_before=shown)


def test_export_to_what_is_there(snap_compare: Compare, exported: Path) -> None:
    Path("b-ev-il-b-rm.html").write_text("mine", encoding="utf-8")

    async def shown(user: Pilot[object]) -> None:
        await _export(user)
        await user.press("tab", "enter")
        await expect_said(user, "is there already: enter overwrites it")

    assert snap_compare(app_on(exported), terminal_size=SMALL, run_before=shown)
    assert Path("b-ev-il-b-rm.html").read_text(encoding="utf-8") == "mine"
