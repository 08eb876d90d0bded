"""The gap view and the charts of measures where there is little room, and in a replay."""

from functools import partial
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.store.records import Status
from tests.tui.actions_gap import record_measured
from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import SMALL, User, expect, expect_shown, lines, opened, text
from tui.widgets.columns import MEASURE_KEY, Numbers, choose_columns


def stands_alone(user: User, name: str) -> bool:
    """Whether it is beside the curve of the strip."""
    return any(line[30:41].strip() in (name, f"log {name}") for line in lines(user))


@pytest.mark.parametrize(
    ("width", "shown"), [(78, []), (118, ["r-trip", "re-CE"]), (220, ["r-trip", "re-CE", "WER", "repeat"])]
)
def test_wide_tables_show_what_is_measured_the_most_telling_first(width: int, shown: list[str]) -> None:
    names = ("word_error_rate", "degeneracy", "round_trip", "reread_ce")
    columns = choose_columns(width, 100, 53, terms=("ce",), measures=names)
    assert [column.title for column in columns if column.key.startswith(MEASURE_KEY)] == shown
    assert sum(column.width + 2 for column in columns) - 2 == width
    chosen = choose_columns(78, 100, 53, terms=("ce",), measures=names, shows=Numbers.MEASURES)
    assert [column.title for column in chosen][2:-1][:3] == ["r-trip", "re-CE", "WER"]


async def test_it_fits_a_small_terminal_and_moves_through_many_rows(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=2000)
    record_measured(recording, run, range(700), "long " * 40 + "{}")
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "today/1")
        await user.press("G")
        await expect_shown(user, "step 699   round trip 0.120   CE from z", "from its text 6.2500")
        assert "long long" in text(user)
        assert all(cell_len(line) == SMALL[0] for line in lines(user))
        await user.press("home")
        await expect_shown(user, "step 0   round trip 0.120")
        await user.press(*["pagedown"] * 20)
        await expect_shown(user, "step 100   round trip 0.120")


async def test_in_a_replay_it_ends_where_that_stands(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 41))
    recording.end(run, 40, Status.STOPPED)
    async with opened(database) as user:
        await expect_shown(user, "stopped")
        await user.press("R")
        await expect_shown(user, "live")
        await user.press("space", "home", "]")
        await expect_shown(user, " 10  ")
        await user.press("G")
        await expect_shown(user, "replayed up to step 10", "step 10   round trip", "step 0   round trip")
        assert "step 20" not in text(user)
        await user.press("escape")
        await expect_shown(user, "live")


async def test_a_measure_has_a_chart_in_the_strip_and_on_the_whole_screen(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 10))
    record_measured(recording, run, range(10, 12))
    async with opened(database, size=(120, 40)) as user:
        await expect_shown(user, "step 11 of 100", "⠣")
        for name in ("ce", "sim", "lr", "|grad|", "|z|", "WER", "r-trip"):
            await user.press("c")
            await expect(user, partial(stands_alone, user, name))
        await user.press("C")
        await expect_shown(user, "today/1  r-trip", "12 rows")
        await user.press("c")
        await expect_shown(user, "today/1  re-CE")
        await user.press("c")
        await expect_shown(user, "today/1  loss")
