"""Which steps the decoding thread takes at once."""

from concurrent.futures import Future
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from engine.steps import decoding_beside
from engine.steps.decoding_beside import DecodingBeside

LONG_S = 60.0


class Decoding:
    """Decodes nothing, when it may, and says of each step which ones it was decoded with."""

    def __init__(self) -> None:
        self.may_go_on = Event()
        self.began = Event()

    def __call__(self, steps: Any) -> Any:
        self.began.set()
        assert self.may_go_on.wait(LONG_S)
        return [[step.number for step in steps]] * len(steps)


def launched(number: int, rows: int) -> Any:
    """A step of whose rows some are decoded."""
    sent = SimpleNamespace(transfer=SimpleNamespace(wait=lambda: None))
    return SimpleNamespace(number=number, decoded_rows=rows, sent=sent)


def result(said: "Future[Any]") -> Any:
    return said.result(LONG_S)


@pytest.fixture(autouse=True)
def _waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_beside, "MOST_WAIT_S", LONG_S)


def test_steps_wait_until_they_fill_a_batch(bundle: LoadedBundle) -> None:
    decoding = Decoding()
    decoding.may_go_on.set()
    beside = DecodingBeside(decoding, bundle, rows_together=4)
    said = [beside(launched(number, 1)) for number in range(3)]
    assert not decoding.began.is_set()
    said.append(beside(launched(3, 1)))
    assert [result(each) for each in said] == [[0, 1, 2, 3]] * 4
    beside.close()


def test_no_more_are_taken_than_fill_a_batch(bundle: LoadedBundle) -> None:
    """But for a single step that has more rows; and those that nobody waits for do not count."""
    decoding = Decoding()
    beside = DecodingBeside(decoding, bundle, rows_together=4)
    first = beside(launched(0, 5))
    assert decoding.began.wait(LONG_S)
    said = [beside(launched(number, 2)) for number in range(1, 6)]
    assert said[1].cancel()
    decoding.may_go_on.set()
    assert result(first) == [0]
    assert result(said[0]) == result(said[2]) == [1, 3]
    assert result(said[3]) == result(said[4]) == [4, 5]
    beside.close()


def test_they_do_not_wait_where_no_more_will_come(bundle: LoadedBundle) -> None:
    decoding = Decoding()
    decoding.may_go_on.set()
    beside = DecodingBeside(decoding, bundle, rows_together=4)
    for begin in (0, 10):
        said = [beside(launched(number, 1)) for number in (begin, begin + 1)]
        beside.hurry()
        assert [result(each) for each in said] == [[begin, begin + 1]] * 2
    beside.close()


def test_nor_for_long(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_beside, "MOST_WAIT_S", 0.01)
    decoding = Decoding()
    decoding.may_go_on.set()
    beside = DecodingBeside(decoding, bundle, rows_together=4)
    assert result(beside(launched(0, 1))) == [0]
    beside.close()


class _Stream:
    """Counts how often it was waited for."""

    def __init__(self) -> None:
        self.waited = 0

    def synchronize(self) -> None:
        self.waited += 1


def test_what_is_left_of_texts_that_have_failed_is_waited_for_too(bundle: LoadedBundle) -> None:
    """It reads what may be freed as soon as the error is known."""

    def fails(steps: Any) -> Any:
        raise RuntimeError("no room")

    stream, said = _Stream(), Future[Any]()
    beside = DecodingBeside(fails, bundle, rows_together=4)
    said.set_running_or_notify_cancel()
    beside._answer([(launched(0, 1), said)], stream)  # type: ignore[arg-type]
    assert str(said.exception()) == "no room"
    assert stream.waited == 1


def test_who_is_alone_with_the_models_may_let_go_of_it(bundle: LoadedBundle) -> None:
    """Its thread does not wait for them then, and is not waited for in vain."""
    decoding = Decoding()
    decoding.may_go_on.set()
    beside = DecodingBeside(decoding, bundle, rows_together=1)
    with ALONE:
        beside(launched(0, 1))
        closing = Thread(target=beside.close, daemon=True)
        closing.start()
        closing.join(LONG_S)
        assert not closing.is_alive()
    assert not decoding.began.is_set()
