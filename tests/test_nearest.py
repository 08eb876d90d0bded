"""The nearest stored vectors, against all cosines worked out at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engine.nearest
from engine.errors import UserError
from engine.nearest import KINDS, Neighbour, nearest
from engine.store.connection import connect
from engine.store.reading import Reader
from engine.store.schema import prepare
from tests.tui.recording import Recording, row

D = 16


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    path = tmp_path / "sessions.db"
    prepare(path)
    recording = Recording(path)
    yield recording
    recording.close()


@pytest.fixture
def stored(
    recording: Recording,
) -> dict[tuple[int, int, str], "np.ndarray[tuple[int], np.dtype[np.float32]]"]:
    """Three runs with five rows, z and prediction of each, init and target."""
    random = np.random.default_rng(7)
    vectors: dict[tuple[int, int, str], np.ndarray[tuple[int], np.dtype[np.float32]]] = {}
    for session, target in (("a", "A dog."), ("a", "A cat."), ("b", "A bird.")):
        run = recording.begin(session=session, target=target)
        for step in range(5):
            texts = (
                {"decoded_z": f"z {run}.{step}", "decoded_prediction": f"p {run}.{step}"}
                if step % 2 == 0
                else {}
            )
            kinds = ("z", "prediction")
            row_vectors = {kind: random.standard_normal(D).astype(np.float32) for kind in kinds}
            recording._recorder.record_step(row(run, step, **texts), row_vectors)
            vectors |= {(run, step, kind): vector for kind, vector in row_vectors.items()}
        ends = {kind: random.standard_normal(D).astype(np.float32) for kind in ("init", "target")}
        recording._recorder.start(run, digest="0", step=0, vectors=ends)
        vectors |= {(run, 0, kind): vector for kind, vector in ends.items()}
    return vectors


def _key(one: Neighbour) -> tuple[int, int, str]:
    return one.run, one.step, one.kind


def expected_order(
    stored: dict[tuple[int, int, str], "np.ndarray[tuple[int], np.dtype[np.float32]]"],
    of: tuple[int, int, str],
) -> list[tuple[float, tuple[int, int, str]]]:
    z = stored[of].astype(np.float64)
    cosines = [
        (float(vector @ z / np.linalg.norm(vector) / np.linalg.norm(z)), key)
        for key, vector in stored.items()
        if key != of
    ]
    return sorted(cosines, reverse=True)


@pytest.mark.parametrize("chunk", [1, 7, 2048])
def test_all_that_is_stored_is_compared(
    recording: Recording,
    stored: dict[tuple[int, int, str], "np.ndarray[tuple[int], np.dtype[np.float32]]"],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr(engine.nearest, "_CHUNK", chunk)
    expected = expected_order(stored, (2, 3, "z"))
    with Reader(recording.path) as reader:
        found = nearest(reader, 2, 3, limit=100, one_per_run=False)
        few = nearest(reader, 2, 3, limit=4, one_per_run=False)
        of_runs = nearest(reader, 2, 3)
        inits = nearest(reader, 2, 3, kinds=("init", "prediction"), limit=100, one_per_run=False)
    assert list(map(_key, found)) == [key for _, key in expected]
    assert [one.cosine for one in found] == pytest.approx([cosine for cosine, _ in expected], abs=1e-6)
    assert list(map(_key, few)) == list(map(_key, found[:4]))
    assert [one.run for one in of_runs] == list(dict.fromkeys(one.run for one in found))
    for best in of_runs:
        assert _key(best) == _key(next(one for one in found if one.run == best.run))
    assert list(map(_key, inits)) == [_key(one) for one in found if one.kind in ("init", "prediction")]


def test_each_says_what_its_vector_stands_for(
    recording: Recording, stored: dict[tuple[int, int, str], object]
) -> None:
    with Reader(recording.path) as reader:
        found = {
            (one.run, one.step, one.kind): one for one in nearest(reader, 1, 1, limit=100, one_per_run=False)
        }
    assert (found[3, 2, "z"].text, found[3, 2, "z"].text_step) == ("z 3.2", 2)
    assert (found[3, 3, "prediction"].text, found[3, 3, "prediction"].text_step) == ("p 3.2", 2)
    assert found[3, 0, "target"].text == "A bird."
    assert found[3, 0, "init"].text == "I like cheese."
    assert (found[3, 0, "init"].session, found[3, 0, "init"].number) == ("b", 1)


def test_what_cannot_be_compared_is_left_out(
    recording: Recording, stored: dict[tuple[int, int, str], object]
) -> None:
    other = recording.begin(bundle="sonar-llm-100m")
    recording._recorder.record_step(row(other, 0), {"z": np.ones(D, np.float32)})
    wide = recording.begin()
    recording._recorder.record_step(row(wide, 0), {"z": np.ones(D + 1, np.float32)})
    null = recording.begin()
    recording._recorder.record_step(row(null, 0), {"z": np.zeros(D, np.float32)})
    strange = recording.begin()
    recording._recorder.record_step(row(strange, 0), {"z": np.full(D, np.nan, np.float32)})
    connection = connect(recording.path)
    connection.execute("UPDATE run SET deleted = 1 WHERE id = 2")
    connection.close()
    with Reader(recording.path) as reader:
        found = nearest(reader, 1, 1, limit=100)
    assert sorted(one.run for one in found) == [1, 3]


def test_it_ends_early_when_it_is_told_to(
    recording: Recording,
    stored: dict[tuple[int, int, str], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine.nearest, "_CHUNK", 6)
    told = []

    def go_on(compared: int) -> bool:
        told.append(compared)
        return compared < 12

    with Reader(recording.path) as reader:
        found = nearest(reader, 1, 1, limit=100, one_per_run=False, go_on=go_on)
    assert told == [0, 6, 12]
    assert len(found) == 11, "those of two chunks, without the row itself"


@pytest.mark.parametrize(
    ("run", "step", "kinds", "line"),
    [
        (9, 0, KINDS, "there is no run 9"),
        (1, 7, KINDS, "step: 7: run 1 has no z stored for it"),
        (1, 1, ("z", "noise"), "kind: 'noise': allowed are z, prediction, init, target"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    recording: Recording,
    stored: dict[tuple[int, int, str], object],
    run: int,
    step: int,
    kinds: tuple[str, ...],
    line: str,
) -> None:
    with Reader(recording.path) as reader, pytest.raises(UserError, match=line):
        nearest(reader, run, step, kinds=kinds)
