"""Which run ever said something: the search over all decoded texts."""

from pathlib import Path

import pytest

from engine.spec import RunSpec
from engine.store import sessions
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.searching import TextHit, search
from engine.store.writing import add_run

from .conftest import step

TEXTS = (
    ("I like cheese.", "A dragon flew over the town."),
    ("I like cheese.", "A dragon flew over the town."),
    ("Käse? [bold]It's[/bold] \x02 NEAR( the “door”.", "The dragonfly, the dragon and I."),
    ('say "so" OR don\'t', None),
)


@pytest.fixture
def run(database: Path) -> int:
    return recorded(database, "tests")


def recorded(database: Path, session: str) -> int:
    run = add_run(database, RunSpec(), device="cpu", session=session)
    recorder = Recorder(database, "none", report=print)
    for number, (z, prediction) in enumerate(TEXTS):
        recorder.record_step(step(run, number, decoded_z=z, decoded_prediction=prediction), {})
    recorder.close()
    return run


def found(database: Path, query: str, **options: bool) -> list[TextHit]:
    with Reader(database) as reader:
        return search(reader, query, **options)


def marked(hit: TextHit) -> list[str]:
    return [hit.text[start:end] for start, end in hit.spans]


def test_a_word_is_found_in_the_first_row_that_says_it(database: Path, run: int) -> None:
    (hit,) = found(database, "dragon")
    assert (hit.run, hit.session, hit.number, hit.kind) == (run, "tests", 1, "prediction")
    assert (hit.step, hit.texts, hit.text) == (0, 2, "A dragon flew over the town.")
    assert marked(hit) == ["dragon"]
    (hit,) = found(database, '"dragonfly"')
    assert (hit.step, hit.texts, marked(hit)) == (2, 1, ["dragonfly"])


@pytest.mark.parametrize(
    ("query", "spans"),
    [
        ("TOWN drag", ["dragon", "town"]),  # all words, whatever their order and case; the last one goes on
        ('"dragon flew"', ["dragon flew"]),
        ('"dragon fl', ["dragon flew"]),
        ("flew*", ["flew"]),
        ("kase", ["Käse"]),
        ("it's", ["It's"]),
        ("near", ["NEAR"]),
        ('"so" or', ["so", "OR"]),
        ("dont'", None),
        ("drag flew", None),  # only the last word may go on
        ("drag* flew", ["dragon", "flew"]),
        ('"flew dragon"', None),
    ],
)
def test_what_can_be_asked_for(database: Path, run: int, query: str, spans: list[str] | None) -> None:
    hits = found(database, query)
    assert [marked(hit) for hit in hits] == ([] if spans is None else [spans])


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        '"',
        '""',
        "*",
        '"*"',
        "(",
        ")",
        "^",
        "-",
        "a AND",
        "OR",
        "NOT x",
        "NEAR(",
        "text:dragon",
        "{a}",
        "col:",
        "a\x00b",
        "\udcff",
        "'",
        ";--",
        "\\",
        '"a"b"c"*',
        "𝒳",
        "\u0301",
        "🐉",
        "x" * 100_000,
        "a " * 5_000,
    ],
)
def test_no_query_is_an_error(database: Path, run: int, query: str) -> None:
    assert isinstance(found(database, query), list)


def test_the_text_comes_back_as_it_was_stored(database: Path, run: int) -> None:
    (hit,) = found(database, "door")
    assert (hit.text, hit.kind, marked(hit)) == (TEXTS[2][0], "z", ["door"])


def test_newest_runs_come_first_and_archived_and_deleted_ones_do_not(database: Path, run: int) -> None:
    second, third = recorded(database, "other"), recorded(database, "third")
    assert [hit.run for hit in found(database, "cheese")] == [third, second, run]
    with Reader(database) as reader:
        assert [hit.run for hit in search(reader, "cheese", limit=2)] == [third, second]
        other = reader.session("other").id
    sessions.set_archived(database, other, True)
    sessions.delete_run(database, third)
    assert [hit.run for hit in found(database, "cheese")] == [run]
    assert [hit.run for hit in found(database, "cheese", with_archived=True)] == [second, run]
