"""What a run is called in a narrow column."""

import pytest
from rich.cells import cell_len

from tui.run_names import home_text


@pytest.mark.parametrize(
    ("session", "width", "shown"),
    [
        ("today", 20, "today/12"),
        ("Published: decoder cross-entropy", 16, "Published: d…/12"),
        ("\x1b[2Jtoday", 20, "␛[2Jtoday/12"),
        ("今日の実験の記録", 10, "今日の…/12"),
    ],
)
def test_the_number_stays_in_sight(session: str, width: int, shown: str) -> None:
    assert home_text(session, 12, width) == shown
    assert cell_len(home_text(session, 12, width)) <= width
