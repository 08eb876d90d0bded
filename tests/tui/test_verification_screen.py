"""What a verification's outcome looks like: both texts that differ, and the keys that still do something."""

from pathlib import Path

import pytest

from engine.verdict import Difference
from tests.tui.actions_verify import taken_up, verdict
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, User, expect, expect_said, expect_shown, lines, opened, strips, text

_LONG = "The cat sat on the mat and looked. " * 40


async def verify(user: User, recording: Recording, recorded: str, now: str) -> None:
    await expect_shown(user, "today/1")
    await user.press("V")
    await expect_shown(user, "waits for the worker", "c give up  esc close")
    with taken_up(recording.path) as (queue, task):
        difference = Difference(10, "decoded_prediction", recorded, now, None)
        queue.finish(task, verdict(difference).to_result())
    await expect_shown(user, "differs from step 10: decoded_prediction; 3 of 25 rows")


@pytest.fixture
def run(recording: Recording) -> int:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 25))
    return run


async def test_two_texts_stand_under_one_another_with_the_difference_marked(
    database: Path, control: RecordingControl, recording: Recording, run: int
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await verify(user, recording, "I eat [b]cheese[/b].", "I eat [b]it's\x1b[2J[/b].")
        await expect_shown(user, "recorded  “I eat [b]cheese[/b].”", "now       “I eat [b]it's␛[2J[/b].”")
        marked = [
            segment.text.strip()
            for strip in strips(user)
            for segment in strip
            if segment.style is not None and segment.style.underline
        ]
        assert "cheese" in marked
        assert any("it's" in part for part in marked)
        assert not any("eat [b]" in part for part in marked)


async def test_only_the_keys_that_still_do_something_are_named_and_on_the_frame(
    database: Path, control: RecordingControl, recording: Recording, run: int
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await verify(user, recording, "a", "b")
        await expect(user, lambda: "give up" not in text(user))
        assert [line for line in lines(user) if "esc close" in line and "╰" in line]
        control.refusal = "run 1: cannot be verified"
        await user.press("escape", "V")
        await expect_shown(user, "run 1: cannot be verified", "esc close")
        assert "give up" not in text(user)


@pytest.mark.parametrize(
    ("recorded", "now", "unseen"),
    [
        ("a\u00a0b", "a b", "character 2: U+00A0 → U+0020"),
        ("caf\u00e9", "cafe\u0301", "character 4: U+00E9 → U+0065"),
        ("a\u200bb", "a\u200db", "character 2: U+200B → U+200D"),
    ],
)
async def test_what_looks_the_same_is_named_by_its_characters(
    database: Path,
    control: RecordingControl,
    recording: Recording,
    run: int,
    recorded: str,
    now: str,
    unseen: str,
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await verify(user, recording, recorded, now)
        await expect_shown(user, f"they look the same; {unseen}")


async def test_the_first_difference_of_long_texts_is_in_sight(
    database: Path, control: RecordingControl, recording: Recording, run: int
) -> None:
    async with opened(database, control, size=SMALL) as user:
        await verify(user, recording, _LONG + "A dog." + _LONG, _LONG + "A mouse." + _LONG)
        await expect_said(user, "A dog.", "A mouse.")
        assert all(f"{title}  “…" in text(user).replace("now     ", "now") for title in ("recorded", "now"))


@pytest.mark.parametrize(
    ("recorded", "now", "line"),
    [
        ("It's so.", 'It "is" so.', 'step 3: decoded_z “It\'s so.” → “It "is" so.”'),
        ("", "x", "step 3: decoded_z “” → “x”"),
        ("a b", "a\u00a0b", "step 3: decoded_z “a b” → “a\u00a0b” (character 2: U+0020 → U+00A0)"),
        ("a", "a\u200b", "step 3: decoded_z “a” → “a\u200b”"),
        (
            "x" * 100 + "dog" + "y" * 100,
            "x" * 100 + "cat" + "y" * 100,
            f"step 3: decoded_z “…{'x' * 20}dog{'y' * 37}…” → “…{'x' * 20}cat{'y' * 37}…”",
        ),
    ],
)
def test_one_line_shows_what_differs(recorded: str, now: str, line: str) -> None:
    assert str(Difference(3, "decoded_z", recorded, now, None)) == line
