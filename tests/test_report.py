"""The HTML report: valid, complete, harmless, and right in a real browser."""

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import html5lib
import pytest

from engine.command_line import command_line
from engine.export import Format, write_file
from engine.spec import RunSpec
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import Status, StepRecord
from engine.store.run_changes import Event
from engine.store.trajectory_reading import STEP_COLUMNS
from engine.store.writing import add_run
from tests.browser.chromium import Chromium

HOSTILE = (
    "</td></style><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "{{ 7 * 7 }} {% raw %} &lt; \x1b[31m\u202egnp.exe\u2066 \r\n\x00 ' \" ]]> --> <svg/onload=alert(1)>"
)
LONG = "Lily. " * 2000
STEPS = 5000


def _loss(step: int) -> float | None:
    """From 4 down to nearly 0.01; not finite from 1000 to 1009."""
    return None if 1000 <= step < 1010 else 4 * math.exp(-step / 800) + 0.01


def _row(run: int, step: int, last: int) -> StepRecord:
    text = {0: HOSTILE, 10: LONG}.get(step, f"Text {step // 1000}.") if step % 10 == 0 else None
    return StepRecord(
        run=run,
        step=step,
        loss=_loss(step),
        terms={"ce": _loss(step), "mse": 0.5},
        similarity=1 - math.exp(-step / 800),
        grad_norm=0.0,
        z_norm=0.25,
        lr=None if step == last else 0.01 if step < 2500 else 0.02,
        elapsed_ms=3.0,
        decoded_z=text,
        decoded_prediction=text,
        match=None if text is None else step >= 4000,
        state_hash=None,
    )


def _record(database: Path, rows: Sequence[StepRecord]) -> None:
    """Record rows in one transaction."""
    connection = connect(database)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        f"INSERT INTO step ({STEP_COLUMNS}) VALUES (?{', ?' * 13})",
        [
            tuple(json.dumps(dict(value)) if isinstance(value, Mapping) else value for value in row)
            for row in rows
        ],
    )
    connection.execute("COMMIT")
    connection.close()


@dataclass(frozen=True)
class Reports:
    """The files, and what they are about."""

    both: Path
    short: Path
    empty: Path
    spec: RunSpec


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Run 1 is long and hostile, run 2 has three rows, run 3 none."""
    folder = tmp_path_factory.mktemp("reports")
    database = folder / "sessions.db"
    spec = RunSpec(target="It's “Lily” & <b>", weights={"ce": 1.0, "mse": 0.5}, steps=STEPS)
    long = add_run(database, spec, device="cpu", session="Lily", name=HOSTILE.replace("\x00", ""))
    short = add_run(database, RunSpec(steps=2), device="cpu", session="Lily")
    add_run(database, RunSpec(), device="cpu", session="Lily")
    recorder = Recorder(database, "cpu", report=print)
    environment = {"python": "3.11.9", "torch": "2.9.1", "device": "a <card>"}
    recorder.start(long, digest="d" * 64, step=0, vectors={}, environment=environment)
    _record(database, [_row(long, step, STEPS) for step in range(STEPS + 1)])
    recorder.add_event(long, 2500, Event("lr", "0.01 → 0.02 <i>", "ann@box"))
    recorder.end(long, STEPS, Status.FINISHED, Event("finished", "match"))
    _record(database, [_row(short, step, 2) for step in range(3)])
    recorder.close()
    both, one, empty = folder / "both.html", folder / "short.html", folder / "empty.html"
    with Reader(database) as reader:
        write_file(reader, [long, short], both, Format.HTML)
        write_file(reader, [short], one, Format.HTML)
        write_file(reader, [3], empty, Format.HTML)
    return Reports(both, one, empty, spec)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chromium, reports: Reports) -> Chromium:
    browser.window(1100)
    browser.open(reports.both)
    return browser


def _texts(page: Chromium, selector: str) -> list[str]:
    found = page.evaluate(
        f"JSON.stringify([...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent))"
    )
    texts: list[str] = json.loads(found)
    return texts


# Read by HTML's own rules


@pytest.mark.parametrize("name", ["both", "short", "empty"])
def test_it_is_valid_html_without_anything_that_acts_or_loads(name: str, reports: Reports) -> None:
    text = getattr(reports, name).read_text(encoding="utf-8")
    document = html5lib.HTMLParser(strict=True).parse(text)  # raises at the first error
    namespaces = {
        element.tag.rpartition("}")[0] for element in document.iter() if isinstance(element.tag, str)
    }
    assert namespaces <= {"{http://www.w3.org/1999/xhtml", "{http://www.w3.org/2000/svg"}
    for element in document.iter():
        tag = str(element.tag).rpartition("}")[2]
        assert tag not in ("script", "img", "link", "iframe", "object", "embed", "form", "a:", "base", "use")
        for attribute, value in element.attrib.items():
            assert not attribute.startswith("on"), (tag, attribute)
            assert attribute not in ("src", "style", "srcset", "action")
            assert attribute != "href" or value.startswith("#run-")
    assert all(character == "\n" or character.isprintable() for character in text)


# In a browser


def test_nothing_is_loaded_and_nothing_is_wrong(page: Chromium) -> None:
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert len(asked) == 1
    assert asked[0].endswith("/both.html")
    complaints = [
        event for event in page.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")
    ]
    assert complaints == []
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.title") == "2 runs"
    assert page.evaluate("document.compatMode") == "CSS1Compat"


def test_the_policy_lets_no_script_run_and_no_picture_load(page: Chromium) -> None:
    page.evaluate(
        "const add = (tag, what) => document.body.append(Object.assign(document.createElement(tag), what));"
        "add('script', {textContent: 'window.ran = 1'}); add('img', {src: 'data:image/gif;base64,R0lGOD'})"
    )
    assert page.evaluate("String(window.ran)") == "undefined"
    assert page.evaluate("document.images[0].complete && document.images[0].naturalWidth") == 0
    page.call("Runtime.evaluate", expression="1")
    refused = [
        event["params"]["entry"]["text"] for event in page.events if event["method"] == "Log.entryAdded"
    ]
    assert any("Content Security Policy" in text for text in refused)


def test_what_a_model_said_stands_there_and_does_nothing(page: Chromium) -> None:
    shown = (
        HOSTILE.replace("\x1b", "␛")
        .replace("\u202e", "\ufffd")
        .replace("\u2066", "\ufffd")
        .replace("\r\n", "␍␊")
        .replace("\x00", "␀")
    )
    cells = _texts(page, "#run-1 td.text")
    assert cells[0] == cells[1] == shown
    assert cells[2].startswith("Lily. Lily.")
    assert cells[2].endswith(" … (12,000 characters)")
    assert len(cells[2]) < 700
    assert "49" not in cells[0]
    assert page.evaluate("document.querySelector('#run-1 td.text bdi').children.length") == 0


def test_a_long_trajectory_is_thinned_and_says_how(page: Chromium) -> None:
    steps = [int(text) for text in _texts(page, "#run-1 table:first-of-type tbody td:first-child")][:200]
    assert steps[0] == 0
    assert steps[-1] == STEPS
    assert steps == sorted(steps)
    assert {10, 20, 1000, 2000, 3000, 4000} <= set(steps)  # where the prediction changes
    assert max(after - before for before, after in pairwise(steps)) <= 60
    notes = " ".join(_texts(page, "#run-1 p.faint"))
    assert "200 of 5,001 rows: the first and the last, of 501 decoded ones those" in notes
    assert "sonar-explore export 1 --to run-1.csv" in notes
    assert page.evaluate("document.querySelectorAll('#run-1 table')[0].tBodies[0].rows.length") == 200
    assert [int(text) for text in _texts(page, "#run-2 table:first-of-type tbody td:first-child")][:2] == [
        0,
        2,
    ]


def _points(path: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(" ") for point in stretch.split("L"))]
        for stretch in path.split("M")[1:]
    ]


def _axis(ticks: Sequence[dict[str, Any]], *, is_log: bool) -> tuple[float, float]:
    """Offset and factor of an axis, from its first and last tick."""
    values = [float(tick["label"].replace(",", "")) for tick in ticks]
    first, last = (math.log(value) if is_log else value for value in (values[0], values[-1]))
    factor = (ticks[-1]["at"] - ticks[0]["at"]) / (last - first)
    return ticks[0]["at"] - factor * first, factor


def test_the_curve_is_the_loss_on_a_logarithmic_scale_with_a_gap(page: Chromium) -> None:
    figure = json.loads(
        page.evaluate(
            "JSON.stringify((f => ({caption: f.querySelector('figcaption').textContent,"
            " path: f.querySelector('svg.chart path.line').getAttribute('d'),"
            " texts: [...f.querySelectorAll('svg.chart > text')].map(t => ({label: t.textContent,"
            "   anchor: t.getAttribute('text-anchor'), x: +t.getAttribute('x'), y: +t.getAttribute('y')})),"
            " marks: [...f.querySelectorAll('svg.chart g')].map(g => ({"
            "   said: g.querySelector('title').textContent, number: g.querySelector('text').textContent,"
            "   x: +g.querySelector('text').getAttribute('x')}))"
            "}))(document.querySelector('#run-1 figure')))"
        )
    )
    assert figure["caption"] == "Loss, logarithmic"
    ticks = [text for text in figure["texts"] if text["label"] != "step"]
    up = [{"label": t["label"], "at": t["y"] - 4} for t in ticks if t["anchor"] == "end"]
    across = [{"label": t["label"], "at": t["x"]} for t in ticks if t["anchor"] == "middle"]
    assert [tick["label"] for tick in across] == ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
    assert {"0.1", "1"} <= {tick["label"] for tick in up}
    start, factor = _axis(across, is_log=False)
    level, slope = _axis(up, is_log=True)
    before, after = _points(figure["path"])
    for x, y in (*before, *after):
        loss = _loss(round((x - start) / factor))
        if loss is not None:  # the drawing's precision is a tenth of a unit, some steps wide
            assert math.exp((y - level) / slope) == pytest.approx(loss, rel=0.05)
    steps = [(x - start) / factor for x in (before[0][0], before[-1][0], after[0][0], after[-1][0])]
    assert steps == pytest.approx([0, 999, 1010, STEPS], abs=12)
    (mark,) = figure["marks"]
    assert (mark["x"] - start) / factor == pytest.approx(2500, abs=1)
    assert mark["said"] == "step 2500: lr 0.01 → 0.02 <i>"
    listed = next(text for text in _texts(page, "#run-1 tr") if "ann@box" in text)
    assert listed.startswith(mark["number"])


def test_everything_about_a_run_is_there(page: Chromium, reports: Reports) -> None:
    terms = _texts(page, "#run-1 dt")
    said = dict(zip(terms, _texts(page, "#run-1 dd"), strict=True))
    assert said["Target"] == "It's “Lily” & <b>"
    assert said["Objective"] == "ce + 0.5 mse"
    assert said["First match"] == "step 4000"
    assert said["device"] == "a <card>"  # of the environment, after the spec's
    assert said["torch"] == "2.9.1"
    assert set(RunSpec.model_fields) <= set(terms)
    command = command_line(reports.spec)
    assert _texts(page, "#run-1 pre code") == [command]
    assert shlex.split(command)[:2] == ["sonar-explore", "run"]
    headings = _texts(page, "#run-1 h3")
    assert headings == ["Charts", "Trajectory", "Events", "Spec", "Environment", "Make it again"]
    assert [text.split(",")[0] for text in _texts(page, "#run-1 figcaption")] == [
        "Loss",
        "Terms of the loss",
        "Similarity: cosine of the prediction and encode(target)",
        "Learning rate",
        "Gradient norm",
    ]


def test_several_runs_are_compared(page: Chromium) -> None:
    assert page.evaluate("document.querySelectorAll('#comparison tbody tr').length") == 2
    assert page.evaluate("document.querySelectorAll('#comparison figure').length") == 2
    names = _texts(page, "#comparison figure:first-of-type .legend li")
    assert [name.strip() for name in names] == ["Lily/1", "Lily/2"]
    links = page.evaluate(
        "[...document.querySelectorAll('#comparison a')].every(a => document.querySelector(a.hash))"
    )
    assert links is True


def test_a_run_without_rows_says_so(browser: Chromium, reports: Reports) -> None:
    browser.open(reports.empty)
    assert _texts(browser, "h1") == ["Lily/3"]
    notes = _texts(browser, "p.faint")
    for said in ("No values yet.", "No steps yet.", "Not recorded."):
        assert said in notes


def _contrast(page: Chromium, selector: str) -> float:
    """WCAG's contrast of an element's text with the page."""
    colours = json.loads(
        page.evaluate(
            f"JSON.stringify([getComputedStyle(document.querySelector({json.dumps(selector)})).color,"
            " getComputedStyle(document.body).backgroundColor])"
        )
    )

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    lighter, darker = sorted(map(luminance, colours), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_light_and_dark_desktops(page: Chromium, scheme: str) -> None:
    page.window(1100, scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    for selector in ("h1", "td.text", ".faint", "th", "dt"):
        assert _contrast(page, selector) >= 4.5, selector


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_no_window_has_to_be_scrolled_sideways(page: Chromium, width: int) -> None:
    page.window(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    left, right = page.evaluate(
        "(b => [b.left, b.right])(document.querySelector('svg.chart').getBoundingClientRect())"
    )
    assert left >= 0
    assert right <= max(width, 500)


def test_it_is_printed_black_on_white(page: Chromium) -> None:
    page.window(800, scheme="dark", media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf().startswith(b"%PDF-")
