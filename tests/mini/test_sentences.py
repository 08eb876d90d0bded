"""How the training text is taken apart: into sentences, told ones with whole quotations, and spoken ones."""

import lzma
from pathlib import Path

from engine.mini.corpus import read_corpus, speeches, spoken, told
from engine.mini.sentences import close_quotations, conversations, split_sentences

STORY = [
    ["Mr. Fox ran home.", '"Stop!', "It is late," + '" said Tim.'],
    ['"I like cheese," said Fox.', '"Do you like it too?"'],
    ["They ate."],
]


def test_splits_at_sentence_ends_only() -> None:
    assert split_sentences('Mr. Fox ran. "Stop!" said Tim. "Why? I am late."') == [
        "Mr. Fox ran.",
        '"Stop!" said Tim.',
        '"Why?',
        'I am late."',
    ]
    assert split_sentences("It cost 3.50 in all. 7 of us paid.") == ["It cost 3.50 in all.", "7 of us paid."]


def test_every_sentence_of_a_quotation_gets_its_own_marks() -> None:
    torn = ['She said, "Run!', "Now!", 'We are late."', "They ran."]
    assert close_quotations(torn) == ['She said, "Run!"', '"Now!"', '"We are late."', "They ran."]
    assert close_quotations(['"Run!', "They ran."]) is None


def test_a_story_is_told_with_whole_quotations_and_cut_where_one_never_ends() -> None:
    assert list(told(STORY)) == [
        [
            "Mr. Fox ran home.",
            '"Stop!"',
            '"It is late," said Tim.',
            '"I like cheese," said Fox.',
            '"Do you like it too?"',
            "They ate.",
        ]
    ]
    unclosed = [["One.", "Two."], ['"Three.'], ["Four."], ["Five."]]
    assert list(told(unclosed)) == [["One.", "Two."], ["Four.", "Five."]]


def test_what_is_said_is_a_conversation_without_marks() -> None:
    assert list(conversations(STORY)) == [
        [["Stop!", "It is late."], ["I like cheese."], ["Do you like it too?"]]
    ]
    assert list(spoken(STORY)) == [["Stop!", "It is late.", "I like cheese.", "Do you like it too?"]]
    assert list(speeches(STORY)) == [["Stop!", "It is late."]]
    assert list(spoken([['"Hello," said Tim.'], ["He ran."], ['"Bye," said Tim.']])) == []


def test_a_speech_that_goes_on_after_who_says_it_is_no_sentence() -> None:
    broken = [['"I am here. If you come," he said, "we will run." "Yes!" said Ann.']]
    assert list(conversations(broken)) == [[["I am here."]], [["Yes!"]]]


def test_entries_stay_whole_and_also_count_as_speech(tmp_path: Path) -> None:
    with lzma.open(tmp_path / "tatoeba-en.txt.xz", "wt", encoding="utf-8") as file:
        file.write("OK. I agree.\nLook behind you.\n")
    (source,) = read_corpus(tmp_path)
    stories = source.training + source.held_out
    assert [unit for story in stories for unit in source.units(story)] == ["OK. I agree.", "Look behind you."]
    assert [list(told(story)) for story in stories] == [[["OK.", "I agree."]], []]
