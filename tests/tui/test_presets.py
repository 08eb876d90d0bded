"""Presets are in one file of the user's, and none is ever lost."""

import json
import os
import threading
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.spec import RunSpec, parse_spec
from tui.presets import (
    BUILT_IN,
    PUBLISHED,
    Preset,
    delete_preset,
    find_preset,
    presets_file,
    read_presets,
    save_preset,
)

HYBRID = Preset(
    parse_spec(
        init={"kind": "random", "seed": 3},
        target='日本語 "quoted" \\ [b]',
        weights={"ce": 1, "cosine": 0.1},
        norm=0.3,
        max_decoded_tokens=20,
    ),
    ("loss<0.2", "match"),
)


def test_the_published_ones_are_the_two_of_the_publication() -> None:
    assert {name: preset.spec.weights for name, preset in PUBLISHED.items()} == {
        "decoder CE": {"ce": 1.0},
        "cosine": {"cosine": 1.0},
    }
    for preset in PUBLISHED.values():
        assert (preset.spec.lr, preset.spec.steps, preset.spec.bundle) == (0.01, 100, "mini")


def test_what_is_built_in_says_what_it_shows_and_can_be_found_by_name() -> None:
    for name, preset in BUILT_IN.items():
        assert 10 < len(preset.description) < 80
        assert find_preset(name) is find_preset(name.upper()) is preset
    assert find_preset("published CE") is PUBLISHED["decoder CE"]
    with pytest.raises(UserError, match="preset: 'magic': there are decoder CE, cosine, readable"):
        find_preset("magic")


def test_a_preset_that_is_older_than_a_built_in_one_of_its_name_is_kept() -> None:
    _write('{"presets": {"robust": {"spec": {"lr": 0.1}}}}')
    save_preset("hybrid", HYBRID)
    assert read_presets() == {"robust": Preset(RunSpec(lr=0.1)), "hybrid": HYBRID}
    assert find_preset("robust").spec.lr == 0.1
    with pytest.raises(UserError, match="robust is built in: choose another name"):
        save_preset("robust", HYBRID)


def test_what_is_saved_is_read_again_and_can_be_deleted() -> None:
    assert read_presets() == {}
    save_preset("hybrid", HYBRID)
    save_preset("plain", Preset(RunSpec()))
    assert read_presets() == {"hybrid": HYBRID, "plain": Preset(RunSpec())}
    save_preset(" hybrid ", Preset(RunSpec(lr=0.5)))
    assert read_presets()["hybrid"].spec.lr == 0.5
    delete_preset("hybrid")
    delete_preset("hybrid")
    assert list(read_presets()) == ["plain"]


def test_the_file_is_where_settings_belong_and_only_that_is_left_there() -> None:
    save_preset("hybrid", HYBRID)
    assert presets_file() == Path(os.environ["XDG_CONFIG_HOME"]) / "sonar-explore" / "presets.json"
    assert list(presets_file().parent.iterdir()) == [presets_file()]
    assert json.loads(presets_file().read_text())["presets"]["hybrid"]["break_points"] == [
        "loss<0.2",
        "match",
    ]


def test_fields_that_a_preset_does_not_name_are_the_defaults() -> None:
    _write('{"presets": {"fast": {"spec": {"lr": 0.1}}}}')
    assert read_presets() == {"fast": Preset(RunSpec(lr=0.1))}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON, line 1"),
        ("", "no JSON, line 1"),
        ("[" * 100_000, "is damaged"),
        ("[]", 'should be {"presets"'),
        ('{"presets": []}', 'should be {"presets"'),
        ('{"presets": {"a": 3}}', "preset 'a': should be"),
        ('{"presets": {"a": {"spec": {"lr": -1}}}}', "preset 'a': lr: -1: should be greater than 0"),
        ('{"presets": {"a": {"spec": {"speed": 1}}}}', "preset 'a': speed"),
        ('{"presets": {"a": {"spec": {}, "break_points": "match"}}}', "should be a list of texts"),
        ('{"presets": {"cosine": {"spec": {}}}}', "is a published one"),
        ('{"presets": {"a\\nb": {"spec": {}}}}', "printable characters"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
    ],
)
def test_a_damaged_file_gets_one_line_and_nothing_is_written_over_it(content: str | bytes, said: str) -> None:
    _write(content)
    before = presets_file().read_bytes()
    for attempt in (read_presets, lambda: save_preset("new", HYBRID), lambda: delete_preset("a")):
        with pytest.raises(UserError) as refused:
            attempt()
        assert said in str(refused.value)
        assert str(presets_file()) in str(refused.value)
        assert "\n" not in str(refused.value)
    assert presets_file().read_bytes() == before


@pytest.mark.parametrize("name", ["", "  ", "n" * 61, "a\nb", "\x1b[2J", "cosine", "decoder CE"])
def test_a_name_that_cannot_be_had_changes_nothing(name: str) -> None:
    save_preset("hybrid", HYBRID)
    with pytest.raises(UserError, match=r"a name has 1 to 60|is a published one"):
        save_preset(name, Preset(RunSpec()))
    assert read_presets() == {"hybrid": HYBRID}


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text('{"presets": {}}')
    presets_file().parent.mkdir(parents=True)
    presets_file().symlink_to(kept)
    save_preset("hybrid", HYBRID)
    assert presets_file().is_symlink()
    assert "hybrid" in kept.read_text()


def test_a_directory_that_cannot_be_written_is_named() -> None:
    presets_file().parent.parent.mkdir(parents=True)
    presets_file().parent.write_text("in the way")
    with pytest.raises(UserError, match="cannot be"):
        save_preset("hybrid", HYBRID)


def test_two_that_save_at_once_lose_nothing() -> None:
    def save(first: int) -> None:
        for number in range(first, first + 5):
            save_preset(f"preset {number}", HYBRID)

    threads = [threading.Thread(target=save, args=(first,)) for first in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_presets()) == {f"preset {number}" for number in range(15)}


def _write(content: str | bytes) -> None:
    presets_file().parent.mkdir(parents=True)
    presets_file().write_bytes(content if isinstance(content, bytes) else content.encode())
