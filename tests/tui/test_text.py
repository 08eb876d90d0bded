"""Hostile text becomes one harmless line, and stays readable."""

import random
import unicodedata

import pytest
from rich.cells import cell_len
from wcwidth import wcswidth

from tui.text import fit_text, safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [b]text[/b] \\ {x}", "plain [b]text[/b] \\ {x}"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x9b2J", "\N{REPLACEMENT CHARACTER}2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\nb\r\tc\x00\x7f", "a␊b␍␉c␀␡"),
        ("a\u2028b\u2029c", "a␊b␊c"),
        ("abc\u202egnp.exe", "abc�gnp.exe"),
        ("\u2066isolate\u2069 \u200emark\u200f", "�isolate� �mark�"),
        ("zero\u200bwidth\ufeff", "zero�width�"),
        ("soft\u00adhyphen", "soft�hyphen"),
        ("no\u00a0break", "no break"),
        ("\ud800 \ue000 \U000e0041 \U0010ffff \u0378", "� � � � �"),
        ("\u3164\u115f", "��"),
        ("a\u200db", "a�b"),
        ("日本語 한글", "日本語 한글"),
        ("naïve e\u0301", "naïve e\u0301"),
        ("🙂 👍🏽 ❤️ 👩‍👩‍👧 👩🏽‍🔬 🏳️‍🌈 🇫🇷", "🙂 👍🏽 ❤️ 👩‍👩‍👧 👩🏽‍🔬 🏳️‍🌈 🇫🇷"),
        ("🇫x a🏽", "Fx a�"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "��"),
        ("\u0301", "�"),
    ],
)
def test_each_character_is_kept_or_replaced_by_a_visible_one(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_no_text_can_move_the_cursor_or_hide_anything() -> None:
    chance = random.Random(0)
    ranges = [(0, 0x80), (0x80, 0x3000), (0x1F000, 0x20000), (0x200B, 0x2070), (0, 0x110000)]
    for _ in range(3000):
        text = "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(chance.randrange(12)))
        shown = safe_text(text)
        for character in shown:
            category = unicodedata.category(character)
            assert category[0] != "C" or character == "\u200d", ascii(text)
            assert category not in ("Zl", "Zp"), ascii(text)
        assert safe_text(shown) == shown
        assert cell_len(fit_text(text, 9)) == 9
        for limit in range(4):
            assert cell_len(safe_text(text, limit=limit)) <= limit


def test_kept_emoji_and_ideographs_are_as_wide_as_terminals_draw_them() -> None:
    for text in ("日本", "👍🏽", "👩‍👩‍👧", "❤️", "🇫🇷", "1️⃣", "e\u0301", "한"):
        assert cell_len(safe_text(text)) == wcswidth(text)


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("👩‍👩‍👧👩‍👩‍👧", 3, "👩‍👩‍👧…"),
        ("abc", 0, ""),
    ],
)
def test_a_limit_counts_terminal_cells(text: str, limit: int, shown: str) -> None:
    assert safe_text(text, limit=limit) == shown


def test_a_very_long_text_is_cut_without_being_walked_through() -> None:
    class Counting(str):
        reads = 0

        def __getitem__(self, key: object) -> str:
            Counting.reads += 1
            return str.__getitem__(self, key)  # type: ignore[index]

    assert safe_text(Counting("é" * 10_000), limit=5) == "éééé…"
    assert Counting.reads < 50
