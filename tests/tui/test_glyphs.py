"""On a terminal that has only ASCII, nothing else is painted, and everything stays in its place."""

import unicodedata
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.store.records import Status
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import LARGE, SMALL, expect, expect_row, lines, opened, text
from tui.glyphs import ascii_sign, ascii_text
from tui.settings import Settings
from tui.widgets.badges import MATCH, NO_MATCH, STATUS_BADGES

DRAWN = [chr(code) for code in range(0x2190, 0x2C00) if unicodedata.category(chr(code)) != "Cn"]


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x48"])
async def test_every_line_of_the_screen_is_ascii(
    database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    first = recording.begin()
    recording.steps(first, published_like_rows(first, 101))
    recording.end(first, 100, Status.FINISHED)
    second = recording.begin()
    recording.steps(second, [row(second, 0, loss=None, similarity=None)])
    recording.end(second, 0, Status.FAILED, "loss: not finite")
    third = recording.begin(
        target="Once upon a time … in the forest, there was a very little girl named Lily, said she."
    )
    recording.steps(third, published_like_rows(third, 60))
    recording.set_lr(third, 60, 0.01, 0.008)
    async with opened(database, size=size, settings=Settings(ascii=True)) as user:
        await expect(user, lambda: "step 59 of 100" in text(user) and "lr 0.01" in text(user))
        for keys in ([], ["question_mark"], ["escape", "n"], ["escape", "ctrl+p"], ["escape", "s"]):
            await user.press(*keys)
            await user.pause()
            painted = text(user)
            assert painted.isascii(), sorted({letter for letter in painted if not letter.isascii()})


async def test_the_columns_stay_where_they_are(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 60))
    painted: dict[bool, list[str]] = {}
    for ascii_only in (False, True):
        async with opened(database, settings=Settings(ascii=ascii_only)) as user:
            await expect(user, lambda: "step 59 of 100" in text(user))
            await expect_row(user, 59)
            painted[ascii_only] = lines(user)
    assert [ascii_text(line) for line in painted[False]] == painted[True]


def test_a_drawn_sign_becomes_one_of_the_same_width() -> None:
    assert len(DRAWN) > 2000
    for sign in DRAWN:
        stand_in = ascii_sign(sign)
        assert stand_in.isascii() or (stand_in == sign and cell_len(sign) == 2), sign
        assert cell_len(stand_in) == cell_len(sign), sign


def test_a_curve_keeps_its_height() -> None:
    assert ascii_text("\u2801\u2802\u2804\u2840 \u28ff\u2800") == "'--_ | "


def test_the_states_stay_apart() -> None:
    signs = {badge.sign for badge in STATUS_BADGES.values()} | {MATCH, NO_MATCH}
    assert len({ascii_sign(sign) for sign in signs}) == len(signs)


def test_words_stay_words() -> None:
    words = "Él dijo: «Straße», 中文, عربى, 😀 e\u0301"
    assert ascii_text(words) == words
