"""A target of several sentences is what all of them say, wherever it is looked for or compared with."""

from pathlib import Path

from engine.spec import PUBLISHED_TARGET
from engine.store.records import Status
from tests.tui.actions_compare import changed_words
from tests.tui.recording import Recording, row
from tests.tui.screen import expect, expect_shown, opened

_SECOND = "She had a small dog."


def record_two(recording: Recording) -> None:
    """A run after one sentence, and a newer one that says both of two, but for a word."""
    first = recording.begin()
    recording.steps(first, [row(first, 0, decoded_prediction="I eat cheese.", match=False)])
    recording.end(first, 0, Status.FINISHED)
    second = recording.begin(continuation=[_SECOND])
    said = f"{PUBLISHED_TARGET} {_SECOND.replace('dog', 'cat')}"
    recording.steps(second, [row(second, 0, decoded_prediction=said, match=False)])
    recording.end(second, 0, Status.FINISHED)


async def test_the_list_finds_a_run_by_its_second_sentence(database: Path, recording: Recording) -> None:
    record_two(recording)
    async with opened(database) as user:
        await expect_shown(user, "2 runs, newest first")
        await user.press("slash", *"dog")
        await expect_shown(user, "1 of 2 runs", "run 2", "Lily. She had a small")


async def test_a_prediction_is_compared_with_all_sentences(database: Path, recording: Recording) -> None:
    record_two(recording)
    async with opened(database) as user:
        await expect_shown(user, "2 runs, newest first")
        await user.press("x", "down", "x", "X")
        await expect_shown(user, "compare: loss")
        await user.press("3", "d")
        await expect_shown(user, "marked: not in its target", "She had a small cat.")
        await expect(user, lambda: "cat" in changed_words(user))
        assert not {"She", "had", "small", "Lily."} & set(" ".join(changed_words(user)).split())
