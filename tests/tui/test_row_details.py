"""What an opened row says, and how it is broken into lines."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine.bundles import find_bundle
from engine.store.reading import Reader
from engine.store.records import Aside, EventRecord, RunRecord, SentenceRecord
from engine.tokens import target_pieces
from tests.tui.recording import Recording, row
from tui.row_details import OpenedRow, TokenLosses, read_token_losses, row_lines, weakest, weights_at
from tui.wrapping import Line, flowed, wrapped

TARGET = "Once upon a time, there was a little girl named Lily."


def _run(recording: Recording, **fields: object) -> RunRecord:
    number = recording.begin(**fields)
    with Reader(recording.path) as reader:
        return reader.run(number)


def _shown(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def _toned(lines: list[Line], tone: str) -> list[str]:
    return [text for line in lines for text, its_tone in line if its_tone == tone]


def _opened(
    run: RunRecord, width: int = 100, tokens: TokenLosses | None = None, **values: object
) -> list[Line]:
    step = row(run.id, 20, **values)
    earlier = row(run.id, 10, decoded_prediction="earlier", decoded_z="old z")
    decoded = earlier if step.decoded_prediction is None else step
    return row_lines(run, [], OpenedRow(step, decoded), tokens, width)


def test_words_that_differ_from_the_target_are_marked_on_both_sides(recording: Recording) -> None:
    lines = _opened(
        _run(recording, target=TARGET),
        decoded_prediction="Once upon a day, there was a girl named Lily.",
        decoded_z="(Yes)",
        match=False,
    )
    assert _toned(lines, "changed") == ["day", "time", "little"]
    assert _shown(lines)[1] == "  Once upon a day, there was a girl named Lily."
    assert _shown(lines)[3] == "  " + TARGET
    assert _shown(lines)[5] == "  (Yes)"


def test_a_match_marks_nothing(recording: Recording) -> None:
    lines = _opened(_run(recording, target=TARGET), decoded_prediction=TARGET, decoded_z="", match=True)
    assert _toned(lines, "changed") == []
    assert _toned(lines, "good") == [TARGET]


def test_a_row_that_was_not_decoded_shows_the_last_texts_and_says_of_which_step(recording: Recording) -> None:
    shown = _shown(_opened(_run(recording)))
    assert shown[0].startswith("prediction of step 10, the last decoded one")
    assert "  earlier" in shown
    assert "z of step 10" in shown


def test_tokens_stand_with_their_losses_and_the_weakest_are_marked(recording: Recording) -> None:
    tokens = TokenLosses((0.001, 0.2, 2.5, None, 1.25), ("__eng_Latn__", " On", "ce", " Lily", "</s>"))
    lines = _opened(_run(recording), tokens=tokens)
    shown = "\n".join(_shown(lines))
    assert "__eng_Latn__ 0.001   ▁On 0.200   ▲ce 2.500   ▁Lily not finite   ▲</s> 1.250" in shown
    assert "mean 0.9878 nats" in shown
    assert {"▲ce", "▲</s>", "▁Lily"} <= set(_toned(lines, "bad"))


def test_the_weakest_are_three_at_most_and_above_the_mean() -> None:
    assert weakest([1.0, 9.0, 8.0, 7.0, 6.0]) == {1, 2, 3}
    assert weakest([5.0, 5.0, 5.0]) == set()
    assert weakest([None, 0.1, 3.0]) == {2}
    assert weakest([]) == set()


def test_why_tokens_are_missing_is_said(recording: Recording) -> None:
    shown = "\n".join(
        _shown(_opened(_run(recording), tokens=TokenLosses(notice="the publication gives none")))
    )
    assert "the publication gives none" in shown
    numbered = "\n".join(_shown(_opened(_run(recording, name="b"), tokens=TokenLosses((0.5, 1.5)))))
    assert "1 0.500   ▲2 1.500" in numbered


def _read(recording: Recording, run: RunRecord, losses: list[float] | None, **values: object) -> TokenLosses:
    step = row(run.id, 0, **values)
    recording._recorder.record_step(step, {}, token_losses=losses)
    return read_token_losses(recording.path, run, step)


def test_token_losses_are_read_with_the_pieces_that_the_tokenizer_makes(recording: Recording) -> None:
    run = _run(recording, target="I like cheese.")
    pieces = target_pieces(find_bundle("mini"), "I like cheese.")
    assert pieces is not None
    losses = [0.125 * number for number in range(len(pieces))]
    tokens = _read(recording, run, losses)
    assert tokens == TokenLosses(tuple(losses), tuple(pieces))
    assert (
        "".join(piece for piece in tokens.pieces or () if not piece.startswith(("_", "<"))).strip()
        == run.target
    )


def test_losses_whose_tokens_are_not_known_are_numbered_and_it_says_why(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = _read(recording, _run(recording), [0.5, 0.25])
    assert (tokens.losses, tokens.pieces) == ((0.5, 0.25), None)
    assert tokens.notice == "tokens are numbered: the tokenizer of mini has changed"
    monkeypatch.setattr("engine.tokens.target_pieces", lambda bundle, targets, language: None)
    tokens = _read(recording, _run(recording, name="without"), [0.5, 0.25])
    assert tokens.notice == "tokens are numbered: the tokenizer of mini is not on disk"


def test_why_there_are_no_token_losses(recording: Recording) -> None:
    older = "not recorded with this row: an older version of the program made it"
    assert _read(recording, _run(recording), None).notice == older
    cosine = _run(recording, weights={"cosine": 1})
    notice = _read(recording, cosine, None, terms={"cosine": -0.1}).notice
    assert notice == "without the term ce, only rows that are decoded have them"
    published = replace(_run(recording, name="published"), origin="published")
    assert _read(recording, published, None).notice == "the publication gives none"


def test_numbers_have_the_weights_that_were_in_force(recording: Recording) -> None:
    run = _run(recording, weights={"ce": 1, "cosine": 0.1})
    steps = [
        row(run.id, step, terms={"ce": 0.5, "cosine": -0.25}, state_hash="0123abcd") for step in (10, 20, 30)
    ]
    changes = [
        EventRecord(2, run.id, 15, 0.0, "weight", "cosine 0.1 → 0.3, mse 0 → 2", "me"),
        EventRecord(3, run.id, 25, 0.0, "weight", "cosine 0.3 → 0", "me"),
    ]
    assert [weights_at(run, changes, step)["cosine"] for step in (10, 15, 20, 30)] == [
        0.1,
        0.3,
        0.3,
        0,
    ]
    assert [weights_at(run, changes, step).get("mse", 0) for step in (10, 20)] == [0, 2]
    shown = "\n".join(_shown(row_lines(run, changes, OpenedRow(steps[1], None), None, 200)))
    assert "ce 0.5000 × 1   cosine -0.2500 × 0.3" in shown
    assert "state 0123abcd" in shown
    assert "lr 0.01" in shown


def test_hostile_texts_stay_within_the_width_and_nothing_raw_is_shown(recording: Recording) -> None:
    texts = (
        "[bold]no[/bold] \x1b[2J\x1b]0;t\x07 line\nbreak",
        "\u202eright to left\u202c \u200b שלום",
        "日本語の文章、" * 300,
        "👩‍👩‍👧 👍🏽 🇫🇷 " * 200,
        "Lily " * 2000,
        "x" * 10_000,
    )
    run = _run(recording, target="日本語 \x1b[31m Lily")
    for text in texts:
        for width in (20, 76):
            lines = _opened(run, width, decoded_prediction=text, decoded_z=text[::-1], match=False)
            shown = _shown(lines)
            assert all(cell_len(line) <= width for line in shown)
            assert not any(character < " " or character in "\u202e\u200b\x7f" for character in "".join(shown))
            flat = "".join(shown).replace(" ", "")
            assert flat.count("Lily") >= text.count("Lily")


def test_lines_are_broken_at_spaces_and_in_a_word_only_where_it_fills_a_line() -> None:
    assert _shown(wrapped([("one two three", "")], 8)) == ["one two", "three"]
    assert _shown(wrapped([("abcdefghij kl", "")], 4)) == ["abcd", "efgh", "ij", "kl"]
    assert _shown(wrapped([("a 日本語", "")], 5)) == ["a", "日本", "語"]
    assert wrapped([("one ", ""), ("two", "changed"), (" three", "")], 8) == [
        [("one ", ""), ("two", "changed")],
        [("three", "")],
    ]
    assert wrapped([], 8) == [[]]


def test_items_flow_beside_one_another() -> None:
    items: list[Line] = [[("aa 1", "")], [("bb 2", "")], [("cc 3", "")], [("too long for it", "")]]
    assert _shown(flowed(items, 11, 3)) == ["aa 1   bb 2", "cc 3", "too long", "for it"]


def test_what_is_measured_and_said_besides_is_shown_in_words(recording: Recording) -> None:
    run = _run(recording, target="One day.", continuation=("Two girls.",))
    aside = Aside(
        (SentenceRecord("One day.", 0.25, True), SentenceRecord("Two \x1bdogs.", None, False)), "One dog."
    )
    pieces = ("__eng_Latn__", " One", "</s>", "__eng_Latn__", " Two", "</s>")
    lines = _opened(
        run,
        tokens=TokenLosses((1.0,) * 6, pieces, aside=aside),
        decoded_prediction="One day. Two dogs.",
        decoded_z="x",
        measures={"round_trip": 0.125, "reread_ce": 6.25},
    )
    shown = "\n".join(_shown(lines))
    assert "prediction from the text of z, encoded again   cross-entropy of the target 6.2500" in shown
    assert "  1 One day.   ✓ cross-entropy 0.2500" in shown
    assert "  2 Two girls.   · cross-entropy not finite\n    Two ␛dogs." in shown
    assert "</s> 1.000   │   __eng_Latn__ 1.000" in shown
    assert "  r-trip   0.125  cosine of z and its own text embedded again" in shown
    assert "  re-CE    6.250  cross-entropy of the target" in shown
    assert "WER" not in shown
    assert "dog" in _toned(lines, "changed")
