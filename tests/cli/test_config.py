"""What can be set, how strong each place is, and what bad values get."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tui.paths import config_dir
from tui.settings import Settings, config_path, load, variable


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.__dataclass_fields__:
        monkeypatch.delenv(variable(name), raising=False)


def _write(text: str) -> Path:
    config_dir().mkdir(parents=True, exist_ok=True)
    config_path().write_text(text, encoding="utf-8")
    return config_path()


EVERYTHING = """
theme = "light"
refresh_hz = 2
bundle = "sonar-llm-100m"
database = "~/runs.db"
bell = false
ascii = true
mouse = false
idle_minutes = 30
runs_together = 8

[keys]
new_run = "N, ctrl+n"
table.row_up = "W"
"""


@pytest.mark.parametrize("document", ["README.md", "docs/bundles.md"])
def test_the_examples_of_the_documents_are_taken(document: str, call: Call) -> None:
    text = (Path(__file__).parents[2] / document).read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        _write(example)
        for verb in ("config", "bundles"):
            answer = call(verb)
            assert (answer.code, answer.err) == (0, "")


def test_without_a_file_the_defaults_are_in_force() -> None:
    effective = load()
    assert effective.settings == Settings()
    assert set(effective.origins.values()) == {"default"}


def test_every_setting_can_be_in_the_file() -> None:
    path = _write(EVERYTHING)
    effective = load()
    assert effective.settings == Settings(
        theme="light",
        refresh_hz=2.0,
        bundle="sonar-llm-100m",
        database="~/runs.db",
        bell=False,
        ascii=True,
        mouse=False,
        idle_minutes=30.0,
        runs_together=8,
        keys={"new_run": "N, ctrl+n", "table.row_up": "W"},
    )
    assert set(effective.origins.values()) == {str(path)}
    assert effective.settings.database_path == Path.home() / "runs.db"


def test_flags_are_stronger_than_the_environment_and_that_than_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = _write('theme = "light"\nrefresh_hz = 2\nbell = false\ndatabase = "file.db"\n')
    monkeypatch.setenv("SONAR_EXPLORE_THEME", "ansi")
    monkeypatch.setenv("SONAR_EXPLORE_DB", "variable.db")
    monkeypatch.setenv("SONAR_EXPLORE_REFRESH_HZ", "3")
    effective = load({"theme": "colour-blind", "mouse": False, "ascii": None, "database": None})
    assert effective.settings.theme == "colour-blind"
    assert effective.settings.refresh_hz == 3.0
    assert effective.settings.database == "variable.db"
    assert effective.settings.bell is False
    assert effective.origins == {
        "theme": "--theme",
        "mouse": "--no-mouse",
        "refresh_hz": "SONAR_EXPLORE_REFRESH_HZ",
        "database": "SONAR_EXPLORE_DB",
        "bell": str(path),
        "bundle": "default",
        "ascii": "default",
        "idle_minutes": "default",
        "runs_together": "default",
    }
    assert load({"database": "flag.db"}).settings.database == "flag.db"


def test_a_change_of_the_file_is_seen_at_once() -> None:
    _write('theme = "light"')
    assert load().settings.theme == "light"
    _write('theme = "ansi"')
    assert load().settings.theme == "ansi"
    config_path().unlink()
    assert load().settings.theme == "sonar"


BAD = {
    'theme = "pink"': "theme: 'pink': should be 'sonar', 'light', 'colour-blind' or 'ansi'",
    "refresh_hz = 50": "refresh_hz: 50: should be less than or equal to 10",
    "refresh_hz = nan": "refresh_hz: nan: should be a finite number",
    'bell = "perhaps"': "bell: 'perhaps': should be a valid boolean",
    "idle_minutes = 0": "idle_minutes: 0: should be greater than 0",
    "runs_together = 129": "runs_together: 129: should be less than or equal to 128",
    "bundle = 3": "bundle: 3: should be a valid string",
    'colour = "red"': "colour: is no setting; there are theme, refresh_hz,",
    "theme = [": "is not TOML: Invalid value (at end of document)",
    "keys = 3": "keys: 3: should be a valid dictionary",
    "[keys]\nnew_run = 3": "keys.new_run: 3: should be a valid string",
    '[keys]\nfly = "n"': "keys: fly: is no action; `sonar-explore config --keys` lists them",
    '[keys]\nnew_run = "p"': "keys: new_run: 'p' is the key of run_published too (anywhere",
    '[keys]\nnew_run = "x"\nrun_published = "x"': "keys: new_run: 'x' is the key of run_published too",
    '[keys]\nnew_run = "up"': "keys: new_run: 'up' is the key of previous_run too (in the list of runs)",
    '[keys]\nnew_run = "hyperspace"': "keys: new_run: 'hyperspace': is no key; keys are like n, N, ?,",
    '[keys]\nnew_run = "ctrl+c"': "keys: new_run: 'ctrl+c': always leaves, and cannot be anything else",
    '[keys]\nnew_run = "a,,b"': "keys: new_run: 'a,,b': should be keys with commas between; a comma",
    '[keys]\ncancel = "x"': "keys: cancel: is the name of several actions: copy.cancel,",
}


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=range(len(BAD)))
def test_a_bad_file_gets_one_line_with_file_key_and_what_is_allowed(
    call: Call, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.delenv("SONAR_EXPLORE_IDLE_MINUTES")
    path = _write(text)
    for verb in ("config", "list"):
        answer = call(verb)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err.startswith(f"sonar-explore: {path}: {said}"), answer.err
        assert answer.err.count("\n") == 1


def test_a_file_that_is_no_text_gets_one_line(call: Call) -> None:
    _write("")
    config_path().write_bytes(b"\xff\xfe")
    answer = call("config")
    assert (answer.code, answer.err) == (2, f"sonar-explore: {config_path()}: is not UTF-8 text\n")


def test_a_bad_variable_and_a_bad_flag_are_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _write('theme = "light"')
    assert call("--theme", "pink").err.startswith("sonar-explore: --theme: 'pink': should be 'sonar'")
    monkeypatch.setenv("SONAR_EXPLORE_REFRESH_HZ", "often")
    answer = call("config")
    assert answer.code == 2
    assert answer.err.startswith("sonar-explore: SONAR_EXPLORE_REFRESH_HZ: 'often': should be a valid number")
    monkeypatch.setenv("SONAR_EXPLORE_REFRESH_HZ", "5")
    monkeypatch.setenv("SONAR_EXPLORE_KEYS", "new_run")
    answer = call("config")
    assert answer.code == 2
    assert answer.err.startswith("sonar-explore: environment: ")
    assert "JSON" in answer.err


def test_flags_of_the_screen_are_refused_where_there_is_none(call: Call, tmp_path: Path) -> None:
    answer = call("--ascii", "list", "--db", tmp_path / "none.db")
    assert answer.code == 2
    assert "--ascii" in answer.err
    assert answer.err.endswith("list opens none\n")


def test_config_prints_each_value_and_where_it_comes_from(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write('bundle = "other"\n[keys]\nnew_run = "N"\n')
    monkeypatch.setenv("SONAR_EXPLORE_BELL", "off")
    monkeypatch.delenv("SONAR_EXPLORE_IDLE_MINUTES")
    answer = call("config")
    assert answer.code == 0
    rows = [line.split(maxsplit=2) for line in answer.out.splitlines()]
    assert rows == [
        ["theme", '"sonar"', "default"],
        ["refresh_hz", "5.0", "default"],
        ["bundle", '"other"', str(path)],
        ["database", '"sessions.db"', "default"],
        ["bell", "false", "SONAR_EXPLORE_BELL"],
        ["ascii", "false", "default"],
        ["mouse", "true", "default"],
        ["idle_minutes", "10.0", "default"],
        ["runs_together", "0", "default"],
        ["keys.new_run", '"N"', str(path)],
    ]
    as_json = json.loads(call("config", "--format", "json").out)
    assert as_json["file"] == str(path)
    assert as_json["settings"]["bell"] == {"value": False, "from": "SONAR_EXPLORE_BELL"}
    assert as_json["settings"]["keys.new_run"] == {"value": "N", "from": str(path)}


def test_the_path_is_printed_of_a_bad_file_too(call: Call) -> None:
    path = _write("theme = [")
    answer = call("config", "--path")
    assert (answer.code, answer.out) == (0, f"{path}\n")


def test_the_keys_are_printed_as_the_file_takes_them(call: Call) -> None:
    _write('[keys]\nnew_run = "N"\n')
    printed = call("config", "--keys").out
    assert 'explorer.new_run = "N"  # ' in printed
    _write(printed)
    assert load().settings.keys["explorer.new_run"] == "N"


def test_the_database_of_the_file_is_that_of_the_verbs(call: Call, tmp_path: Path) -> None:
    _write(f'database = "{tmp_path / "none.db"}"\n')
    assert str(tmp_path / "none.db") in call("list").err
    assert str(tmp_path / "flag.db") in call("list", "--db", tmp_path / "flag.db").err


def test_the_bundle_of_the_file_is_that_of_new_runs(call: Call, tmp_path: Path) -> None:
    _write('bundle = "nonesuch"\n')
    answer = call("run", "--detach", "--db", tmp_path / "new.db")
    assert answer.code == 2
    assert "nonesuch" in answer.err


def test_what_workers_read_is_handed_on(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _write("idle_minutes = 42\nruns_together = 3\n")
    monkeypatch.delenv("SONAR_EXPLORE_RUNS_TOGETHER", raising=False)
    call("list", "--db", tmp_path / "none.db")
    assert os.environ["SONAR_EXPLORE_IDLE_MINUTES"] == "0.2", "the environment is stronger"
    monkeypatch.delenv("SONAR_EXPLORE_IDLE_MINUTES")
    call("list", "--db", tmp_path / "none.db")
    assert os.environ.pop("SONAR_EXPLORE_IDLE_MINUTES") == "42"
    assert os.environ.pop("SONAR_EXPLORE_RUNS_TOGETHER") == "3"


def test_a_relative_xdg_directory_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    assert config_path() == Path.home() / ".config" / "sonar-explore" / "config.toml"


_IMPORTED = """
import sys
from tui.settings import load
load()
print("pydantic" in sys.modules, "textual" in sys.modules)
"""


def test_settings_that_were_checked_are_not_checked_again() -> None:
    """The import of what checks them takes longer than the first paint can wait."""

    def imported() -> str:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    assert imported() == "False False"
    _write('theme = "light"')
    assert imported() == "True False"
    assert imported() == "False False"
    _write('theme = "ansi"')
    assert imported() == "True False"
