"""Texts into sentences, and nothing lost on the way."""

import subprocess
import sys

import pytest

from engine.sentences import split_sentences

STORY = (
    "Once upon a time, there was a little girl named Lily. She liked cheese!  Did she?\tYes...  She did.\r\n"
    '\n"Stop!" said Tim. “It is late. Go home.” Then he went to St. Mary\'s at 3.5 p.m. with Dr. Fox\n\nEnd'
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            'Mr. Smith went home. He said: "Come in!" She did.',
            ["Mr. Smith went home.", 'He said: "Come in!"', "She did."],
        ),
        ("I like cheese.", ["I like cheese."]),
        ("no end", ["no end"]),
        ("He paid 3.50 in the U.S. today. Good.", ["He paid 3.50 in the U.S. today.", "Good."]),
        (
            "“Hello. How are you?” he asked. Nobody spoke.",
            ["“Hello. How are you?” he asked.", "Nobody spoke."],
        ),
        ("Title\n\nShe\nwent  home.", ["Title", "She went home."]),
        ("1. Wash. 2. Dry it.", ["1. Wash.", "2. Dry it."]),
        ("Look! \U0001f600", ["Look! \U0001f600"]),
        ("...", ["..."]),
        ("7. 8.", ["7. 8."]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_english_sentences(text: str, sentences: list[str]) -> None:
    assert list(split_sentences(text)) == sentences


@pytest.mark.parametrize(
    "text", [STORY, STORY * 50, "\x00\x1b[31m a. B\x07c! \u202eD?", "Lily. " * 2_000, "." * 999]
)
@pytest.mark.parametrize("language", ["eng_Latn", "hin_Deva", "xxx_Yyyy", ""])
def test_nothing_is_lost(text: str, language: str) -> None:
    sentences = split_sentences(text, language)
    assert " ".join(" ".join(sentences).split()) == " ".join(text.split())
    assert all(sentence == " ".join(sentence.split()) != "" for sentence in sentences)


def test_other_languages_have_their_own_stops_and_abbreviations() -> None:
    assert split_sentences("मैं घर गया। वह आया।", "hin_Deva") == ("मैं घर गया।", "वह आया।")
    german = "Das kostet z. B. 3 Euro. Am 3. Mai kam Hr. Fuchs. Gut."
    assert split_sentences(german, "deu_Latn") == (
        "Das kostet z. B. 3 Euro.",
        "Am 3. Mai kam Hr. Fuchs.",
        "Gut.",
    )


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("spa_Latn", ["El Sr. Gómez fue a casa.", "¿Vino ella?", "¡Sí!"]),
        ("pol_Latn", ["Pan prof. Nowak poszedł do domu.", "Przyszła np. wczoraj.", "Tak."]),
        ("rus_Cyrl", ["Он пошёл домой.", "Г. Иванов пришёл в 3 ч. дня.", "Да!"]),
        ("ell_Grek", ["Πήγε σπίτι.", "Ήρθε;", "Ναι."]),
        ("arb_Arab", ["ذهب إلى البيت.", "هل جاءت؟", "نعم!"]),
        ("hye_Armn", ["Նա գնաց տուն։", "Նա եկավ։"]),
    ],
)
def test_a_text_of_a_language_is_split_by_its_own_rules(language: str, sentences: list[str]) -> None:
    assert list(split_sentences(" ".join(sentences), language)) == sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zho_Hans", ["他回家了。", "她来了！", "你好吗？"]),
        ("jpn_Jpan", ["彼は家に帰った。", "彼女は来た。"]),
    ],
)
def test_sentences_without_spaces_between_them_are_told_apart(language: str, sentences: list[str]) -> None:
    assert list(split_sentences("".join(sentences), language)) == sentences


def test_a_language_without_rules_of_its_own_is_split_as_a_relative_or_as_english() -> None:
    assert split_sentences("Buongiorno. Comu stai?", "scn_Latn") == ("Buongiorno.", "Comu stai?")
    # `als` is Tosk Albanian to SONAR, and a German dialect to the library.
    albanian = "Po. Jo, faleminderit."
    assert split_sentences(albanian, "als_Latn") == ("Po.", "Jo, faleminderit.")


def test_the_splitter_is_imported_when_it_is_needed() -> None:
    program = "import sys, engine.sentences; print('sentencex' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]
