"""Pictures of the form for a new run; none depends on the time or on the day."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.spec import RunSpec
from tests.tui.pictures import SIZES, Compare, app_on
from tests.tui.recording import Recording
from tests.tui.screen import expect_shown, form_of
from tui.presets import Preset, save_preset


@pytest.fixture(autouse=True)
def words_are_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures do not depend on the tokenizer that is shipped."""
    monkeypatch.setattr("engine.tokens.count_tokens", lambda bundle, text: len(text.split()))


async def _open(user: Pilot[object], *shown: str) -> None:
    await expect_shown(user, "No runs yet")
    await user.press("n")
    await expect_shown(user, "New run", "of 125 tokens", *shown)


@SIZES
def test_form_with_wrong_fields(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open(user)
        wrong = {"lr": "-1", "weight_ce": "much", "break_points": "loss=3", "steps": "0"}
        form_of(user).set_values(wrong)
        await user.press("enter")
        await expect_shown(user, "4 fields to mend first", "should be a valid number")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_form_with_too_long_a_sentence(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open(user)
        form_of(user).set_values({"target": "word " * 130})
        await user.press("tab", "end", "x")
        await expect_shown(user, "131 of 125 tokens: too long")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_form_at_its_end_with_copies_of_a_random_start(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    async def shown(user: Pilot[object]) -> None:
        await _open(user)
        form_of(user).set_values({"init_kind": "random", "init_seed": "7", "copies": "1"})
        form_of(user).go_to("copies")
        await user.press("0")
        await expect_shown(user, "direction seeds from 7 on", "keep z")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_form_with_hostile_texts_of_the_last_run(
    snap_compare: Compare, database: Path, recording: Recording, size: tuple[int, int]
) -> None:
    hostile = "[red]markup[/red] \x1b[31mescape\x1b[0m \u202etxt.exe 日本語 👩‍👩‍👧"
    recording.queue(target=hostile, init={"kind": "text", "text": hostile}, session="[b]\u2066x")

    async def shown(user: Pilot[object]) -> None:
        await expect_shown(user, "○ queued")
        await user.press("n")
        await expect_shown(user, "New run", "of 125 tokens", "last run: [b]")

    assert snap_compare(app_on(database), terminal_size=size, run_before=shown)


@SIZES
def test_form_asks_for_the_name_of_a_preset(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int]
) -> None:
    save_preset("slow", Preset(RunSpec(lr=0.001)))

    async def shown(user: Pilot[object]) -> None:
        await _open(user)
        await user.press("ctrl+w")
        await expect_shown(user, "Save as a preset")
        await user.press(*"slow")
        await expect_shown(user, "takes the place of the preset slow")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)


@SIZES
def test_form_with_a_damaged_file_of_presets(
    snap_compare: Compare, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.presets.presets_file", lambda: Path("presets.json"))  # no path of this machine
    monkeypatch.chdir(tmp_path)
    Path("presets.json").write_text("{")

    async def shown(user: Pilot[object]) -> None:
        await _open(user, "is damaged")

    assert snap_compare(app_on(tmp_path / "none.db"), terminal_size=size, run_before=shown)
