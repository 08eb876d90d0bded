"""The benchmark of decoding: what it says of two ways that agree, and of two that do not."""

import pytest

from benchmarks import decoding
from tests.engine.toy import toy_bundle


@pytest.fixture(autouse=True)
def _short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_TOKENS", 6)


def test_it_counts_the_texts_that_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    decoding.report(toy_bundle(), 8, rows=(2,))
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["beam 1: 8 of 8 texts are the same", "beam 5: 8 of 8 texts are the same"]
    assert [line.split(" | ")[0] for line in printed[3:]] == ["2 rows, beam 1", "2 rows, beam 5"]


def test_it_shows_texts_that_differ_with_their_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = toy_bundle()
    monkeypatch.setitem(decoding.WAYS, "this", lambda bundle, embeddings, **_: ["cat"] * len(embeddings))
    decoding.report(bundle, 4, rows=())
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "beam 1: 0 of 4 texts are the same"
    texts = decoding.WAYS["fairseq2"](bundle, decoding.some_embeddings(bundle, 4), beam=1, max_tokens=6)
    assert [line.split(maxsplit=2)[2] for line in printed[1:9:2]] == [repr(text) for text in texts]
    assert [line.split(maxsplit=2)[2] for line in printed[2:9:2]] == ["'cat'"] * 4
    scores = [float(line.split()[1]) for line in printed[1:9]]
    assert all(score < 0 for score in scores)
