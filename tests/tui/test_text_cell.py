"""What stands in the cells of a text column, against cells written out by hand."""

import pytest
from rich.cells import cell_len

from tui.text_cell import text_cell

TARGET = "Once upon a time, there was a little girl named Lily."
YOUNG = TARGET.replace("little", "young")


def _cell(text: str, other: str | None, width: int) -> str:
    """The cell with changed words in brackets."""
    return "".join(f"[{piece}]" if tone else piece for piece, tone in text_cell(text, other, width))


@pytest.mark.parametrize(
    ("text", "other", "width", "cell"),
    [
        (TARGET, None, 60, TARGET),
        (TARGET, TARGET, 60, TARGET),
        (TARGET, TARGET, 20, "Once upon a time, t…"),
        (YOUNG, TARGET, 60, TARGET.replace("little", "[young]")),
        (YOUNG, TARGET, 20, "…there was a [young] …"),
        (YOUNG, TARGET, 12, "…a [young] gi…"),
        (YOUNG, TARGET, 38, "Once upon a time, there was a [young] g…"),
        ("I eat cheese.", "I like cheese.", 9, "I [eat] ch…"),
        ("I eat cheese.", "I like cheese.", 4, "I [e]…"),
        ("new words only", "", 8, "[new wor]…"),
        ("", "before", 8, ""),
        ("日本語の文章", "日本人の文章", 12, "日本[語]の文章"),
        ("日本語の文章", "日本語の文書", 9, "…の文[章]"),
        ("a\x1b[31mb", "a\x1b[31mb", 12, "a␛[31mb"),
        ("anything", "at all", 0, ""),
    ],
)
def test_a_cell(text: str, other: str | None, width: int, cell: str) -> None:
    assert _cell(text, other, width) == cell


@pytest.mark.parametrize(
    "text", ["Lily " * 2000, "x" * 10_000, "日本語" * 900, "👩‍👩‍👧 " * 500, "e" + "\u0301" * 500]
)
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_a_cell_is_never_wider_than_its_column(text: str, width: int) -> None:
    for other in (None, "", "Lily", TARGET, text[: len(text) // 2]):
        assert sum(cell_len(piece) for piece, _ in text_cell(text, other, width)) <= width
