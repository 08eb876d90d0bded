"""Steps that run ahead of their rows, against steps that do not: the same rows, whatever is done between."""

import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import ahead as ahead_module
from engine import optimizer
from engine.ahead import MOST_STEPS, Ahead
from engine.decoding import decode
from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.search import Search
from engine.spec import RunSpec, steered
from engine.steps import decoding_beside, own_text
from engine.steps.step import Step
from tests.engine.fast.recorded_graph import RecordedGraphs
from tests.engine.toy import toy_spec
from tests.worker.conftest import wait_until

BATCH = [
    toy_spec(steps=9, lr=0.05, decode_every=2),
    toy_spec(steps=6, lr=0.2, target="I like cheese.", norm="free", weights={"ce": 1.0, "mse": 0.2}),
    toy_spec(steps=7, lr=0.1, weights={"cosine": 1.0}, decode_every=3, beam=2, measures="quick"),
    toy_spec(steps=4, optimizer="lbfgs", lr=0.5, target="Tom had a red ball.", decode_every=1),
]

RUNS = {
    "decoded at the end": [toy_spec(steps=9)],
    "decoded at every step": [toy_spec(steps=7, decode_every=1)],
    "decoded at every third step": [toy_spec(steps=8, decode_every=3, weights={"cosine": 1.0})],
    "schedules": [toy_spec(steps=8, schedules={"lr": "plateau:0.5:1", "ce": "linear:0.1:5"})],
    "a story": [toy_spec(steps=4, decode_every=2, continuation=("Tom had a red ball.",))],
    "a batch": BATCH,
    "own text": [toy_spec(steps=4, weights={"ce": 1.0, "anchor": 0.5}, read_every=2, decode_every=2)],
    "copies": [toy_spec(steps=3, options={"noise.copies": 2})],
    "moved": [toy_spec(steps=7, options={"projection.every": 3}, decode_every=2)],
}


def everything(row: Step) -> dict[str, Any]:
    """All that a row says, to the last bit, but for the time it took; what is not a number equals itself."""
    fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    del fields["elapsed_ms"]
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value)
        for name, value in fields.items()
    }


Told = list[tuple[str, object]]


def told(search: Search, steer: Callable[[Search, int], None] = lambda search, rows: None) -> Told:
    """All that is to be known of some runs from row to row, until they are done or have a problem."""
    known: Told = []
    runs = range(len(search.specs))
    for count in range(60):
        steer(search, count)
        known += [("state", search.state_bytes(run)) for run in runs]
        known += [("next", search.next_step(run)) for run in runs]
        known.append(("done", search.done))
        if search.done:
            return known
        known += [("row", everything(row)) for row in search.advance()]
    raise AssertionError("the runs have no end")


def both(specs: Sequence[RunSpec], bundle: LoadedBundle) -> tuple[Ahead, Optimization]:
    return Ahead(Optimization(specs, bundle)), Optimization(specs, bundle)


@pytest.mark.parametrize("name", RUNS)
def test_rows_and_states_are_the_same_bits(name: str, bundle: LoadedBundle) -> None:
    ahead, plain = both(RUNS[name], bundle)
    assert told(ahead) == told(plain)
    ahead.close()


def test_steps_that_are_replayed_are_the_same_bits(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a replay overwrites belongs to a step that has not been decoded."""
    plain = told(Optimization(BATCH, bundle))
    graphs = RecordedGraphs()
    monkeypatch.setattr(optimizer, "capture_on", lambda device: graphs)
    assert told(Ahead(Optimization(BATCH, bundle))) == plain
    assert graphs.replays > 3


def changed_lr(search: Search) -> None:
    search.take_spec(0, steered(search.specs[0], search.next_step(0), lr=0.3))


def changed_weights(search: Search) -> None:
    spec = search.specs[0].model_copy(update={"weights": {"ce": 0.5, "cosine": 2.0}})
    search.take_spec(0, spec)


def extended(search: Search) -> None:
    search.extend(0, 13)


def repeated(search: Search) -> None:
    search.repeat(0, lr=0.02, weights={"cosine": 1.0})


def advanced_with_texts(search: Search) -> None:
    assert search.advance(decodes=True)[0].decoded_z is not None


SET: dict[str, Callable[[Search], None]] = {
    each.__name__: each for each in (changed_lr, changed_weights, extended, repeated, advanced_with_texts)
}


@pytest.mark.parametrize("when", [0, 1, 4])
@pytest.mark.parametrize("name", SET)
def test_what_is_set_takes_effect_with_the_next_row(name: str, when: int, bundle: LoadedBundle) -> None:
    def steer(search: Search, count: int) -> None:
        if count == when:
            SET[name](search)

    ahead, plain = both(BATCH[:2], bundle)
    assert told(ahead, steer) == told(plain, steer)


@pytest.mark.parametrize("name", SET)
def test_what_is_set_between_two_readings_takes_effect_with_the_next_row(
    name: str, bundle: LoadedBundle
) -> None:
    def steer(search: Search, count: int) -> None:
        if count == 2:
            SET[name](search)
        if count == 4:
            search.take_spec(0, reading.model_copy(update={"lr": 0.1}))

    reading = toy_spec(
        weights={"ce": 1.0, "anchor": 0.5, "fluency": 0.5},
        options={"noise.copies": 2},
        steps=7,
        read_every=5,
        decode_every=3,
    )
    ahead, plain = both([reading], bundle)
    assert told(ahead, steer) == told(plain, steer)


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_goes_back_is_restored_and_held(run: int, bundle: LoadedBundle) -> None:
    def steering() -> Callable[[Search, int], None]:
        kept: dict[str, Any] = {}

        def steer(search: Search, count: int) -> None:
            if count == 1:
                kept["copy"], kept["bytes"] = search.copy_of_state(run), search.state_bytes(run)
            elif count == 3:
                search.go_back(run, kept["copy"])
            elif count == 6:
                search.restore(run, kept["bytes"])
                with pytest.raises(UserError, match=r"^checkpoint: damaged"):
                    search.restore(run, kept["bytes"][:-1])
            elif count in (8, 10):
                search.hold(run, count == 8)

        return steer

    ahead, plain = both(BATCH[:2], bundle)
    assert told(ahead, steering()) == told(plain, steering())


def test_runs_that_are_all_held_give_no_rows(bundle: LoadedBundle) -> None:
    ahead, plain = both(BATCH[:1], bundle)
    for search in (ahead, plain):
        search.advance()
        search.hold(0)
        assert search.advance() == []
        search.hold(0, False)
    assert told(ahead) == told(plain)


@pytest.mark.parametrize("specs", [BATCH[:1], BATCH[:2]], ids=["one run", "two runs"])
def test_a_run_ends_with_what_is_not_finite(
    specs: list[RunSpec], bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other goes on; and so does this one, once it has gone back."""
    plain = Optimization(specs, bundle)
    rows = [row for _ in range(4) for row in plain.advance() if row.run == 0]
    poison = torch.tensor(rows[3].z)
    predict_each = LoadedBundle.predict_each

    def poisoned(self: LoadedBundle, sentences: Tensor) -> Tensor:
        is_poison = (sentences[:, 0] == poison).all(dim=-1).view(-1, 1, 1)
        return torch.where(is_poison, torch.nan, predict_each(self, sentences))

    monkeypatch.setattr(LoadedBundle, "predict_each", poisoned)

    def steering() -> Callable[[Search, int], None]:
        kept: list[Any] = []

        def steer(search: Search, count: int) -> None:
            if count == 2:
                kept.append(search.copy_of_state(0))
            if count == 6 or (search.done and len(kept) == 1):
                kept.append(None)
                search.go_back(0, kept[0])
                search.take_spec(0, steered(search.specs[0], 2, lr=0.001))

        return steer

    ahead, plain = both(specs, bundle)
    known = told(ahead, steering())
    assert known == told(plain, steering())
    losses = [row["loss"] for what, row in known if what == "row" and isinstance(row, dict)]
    assert losses.count("nan") == 1


def test_what_goes_wrong_in_decoding_comes_out_of_its_row(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of none before it; the state is the one before that row, which can be made again."""
    spec = toy_spec(steps=6, decode_every=1, lr=0.05)
    expected = told(Optimization([spec], bundle))
    rows = [row for what, row in expected if what == "row" and isinstance(row, dict)]
    bad = torch.frombuffer(bytearray(rows[3]["z"]), dtype=torch.float32)

    def failing(bundle: LoadedBundle, embeddings: Tensor, **arguments: Any) -> list[str]:
        if (embeddings == bad).all(dim=-1).any():
            raise FloatingPointError("the decoder's logits are not numbers")
        return decode(bundle, embeddings, **arguments)

    ahead = Ahead(Optimization([spec], bundle))
    with monkeypatch.context() as patch:
        patch.setattr(own_text, "decode", failing)
        assert [everything(row) for _ in range(3) for row in ahead.advance()] == rows[:3]
        with pytest.raises(FloatingPointError, match="not numbers"):
            ahead.advance()
        with pytest.raises(FloatingPointError, match="not numbers"):
            ahead.advance()
    assert [("state", ahead.state_bytes(0)), ("next", 3)] == expected[12:14]
    assert told(ahead) == expected[12:]


def test_what_goes_wrong_in_a_step_comes_out_of_its_row(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(steps=6, decode_every=2)
    expected = told(Optimization([spec], bundle))
    launch = Optimization.launch

    def failing(self: Optimization, **arguments: Any) -> Any:
        if self.next_step(0) == 2:
            raise torch.OutOfMemoryError
        return launch(self, **arguments)

    ahead = Ahead(Optimization([spec], bundle))
    with monkeypatch.context() as patch:
        patch.setattr(Optimization, "launch", failing)
        assert [row.step for _ in range(2) for row in ahead.advance()] == [0, 1]
        with pytest.raises(torch.OutOfMemoryError):
            ahead.advance()
    assert told(ahead) == expected[8:]


@pytest.fixture
def decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row waits for others to be decoded with."""
    monkeypatch.setattr(decoding_beside, "MOST_WAIT_S", 0.0)


@pytest.mark.usefixtures("decoded_at_once")
def test_steps_go_on_while_a_row_is_decoded(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoding of row 5 waits until step 9 is launched, and row 10 is decoded with row 15."""
    launched, decoded = threading.Semaphore(0), []
    launch, said = Optimization.launch, Optimization.said
    monkeypatch.setattr(optimizer, "capture_on", lambda device: RecordedGraphs())

    def counting(self: Optimization, **arguments: Any) -> Any:
        step = launch(self, **arguments)
        if step.rows[0].step in (9, 15, 16):
            launched.release()
        return step

    def waiting(self: Optimization, steps: Any) -> Any:
        decoded.append([step.rows[0].step for step in steps])
        if decoded[-1] == [5]:
            assert launched.acquire(timeout=60)
            assert launched.acquire(timeout=60)
            assert launched.acquire(timeout=60)
        return said(self, steps)

    spec = toy_spec(steps=20, decode_every=5)
    expected = told(Optimization([spec], bundle))
    monkeypatch.setattr(Optimization, "launch", counting)
    monkeypatch.setattr(Optimization, "said", waiting)
    assert told(Ahead(Optimization([spec], bundle))) == expected
    assert decoded[:2] == [[0], [5]]
    assert decoded[2][:2] == [10, 15]


@pytest.mark.usefixtures("decoded_at_once")
def test_steps_go_on_to_where_z_is_read(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoding of row 5 waits until step 7 is launched; step 8 reads what z says, once row 7 is there."""
    launched: list[int] = []
    comes = threading.Event()
    launch, said = Optimization.launch, Optimization.said
    monkeypatch.setattr(optimizer, "capture_on", lambda device: RecordedGraphs())

    def counting(self: Optimization, **arguments: Any) -> Any:
        launched.append(self.next_step(0))
        if launched[-1] == 7:
            comes.set()
        return launch(self, **arguments)

    def waiting(self: Optimization, steps: Any) -> Any:
        assert steps[0].rows[0].step < 5 or comes.wait(60)
        return said(self, steps)

    monkeypatch.setattr(Optimization, "launch", counting)
    monkeypatch.setattr(Optimization, "said", waiting)
    spec = toy_spec(steps=9, weights={"ce": 1.0, "fluency": 0.5}, read_every=8, decode_every=5)
    ahead = Ahead(Optimization([spec], bundle))
    newest = {row.step: launched[-1] for _ in range(10) for row in ahead.advance()}
    assert [newest[step] for step in (0, 5, 6, 7, 8)] == [0, 7, 7, 7, 8]
    ahead.close()


@pytest.mark.usefixtures("decoded_at_once")
def test_only_so_many_steps_are_launched(bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    launch = Optimization.launch
    goes_on = threading.Event()
    monkeypatch.setattr(optimizer, "capture_on", lambda device: RecordedGraphs())

    def counting(self: Optimization, **arguments: Any) -> Any:
        steps.append(self.next_step(0))
        if len(steps) == MOST_STEPS:
            goes_on.set()
        return launch(self, **arguments)

    said = Optimization.said

    def waiting(self: Optimization, some: Any) -> Any:
        if some[0].rows[0].step == 2:
            assert goes_on.wait(60)
        return said(self, some)

    monkeypatch.setattr(Optimization, "launch", counting)
    monkeypatch.setattr(Optimization, "said", waiting)
    ahead = Ahead(Optimization([toy_spec(steps=60, decode_every=2, lr=1e-4)], bundle))
    given = [row.step for _ in range(6) for row in ahead.advance()]
    assert given == list(range(6))
    assert steps == list(range(len(steps)))
    assert len(steps) <= len(given) + MOST_STEPS
    ahead.close()


def decoding_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "decoding"}


@pytest.mark.parametrize("closes", [True, False])
def test_its_thread_ends_with_it(closes: bool, bundle: LoadedBundle) -> None:
    gc.collect()
    before = decoding_threads()
    ahead = Ahead(Optimization([toy_spec(steps=50, decode_every=1)], bundle))
    state = [ahead.advance(), ahead.state_bytes(0)][1]
    assert len(decoding_threads() - before) == 1
    if closes:
        ahead.close()
        assert ahead.state_bytes(0) == state
    else:
        del ahead
    assert decoding_threads() <= before


@pytest.fixture
def texts_that_wait(monkeypatch: pytest.MonkeyPatch, decoded_at_once: None) -> threading.Event:
    """No row after the first has its texts before this is set; steps that are replayed go on meanwhile."""
    monkeypatch.setattr(optimizer, "capture_on", lambda device: RecordedGraphs())
    may_be_decoded, said = threading.Event(), Optimization.said

    def waiting(self: Optimization, steps: Any) -> Any:
        if any(row.step for step in steps for row in step.rows.values()):
            assert may_be_decoded.wait(60)
        return said(self, steps)

    monkeypatch.setattr(Optimization, "said", waiting)
    return may_be_decoded


def test_whoever_has_no_patience_gets_no_rows_and_can_steer(
    bundle: LoadedBundle, texts_that_wait: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead_module, "MOST_STEPS", 2)  # no row is decoded together with the first
    spec = toy_spec(steps=9, decode_every=3)
    ahead, plain = Ahead(Optimization([spec], bundle), patience_s=0.001), Optimization([spec], bundle)
    rows: list[Step] = []
    while len(rows) < 3:
        rows += ahead.advance()
    assert ahead.advance() == ahead.advance() == []
    assert (ahead.next_step(0), ahead.done) == (3, False)
    changed_lr(ahead)
    assert ahead.advance() == []
    texts_that_wait.set()
    while not ahead.done:
        rows += ahead.advance()
    expected = [*plain.advance(), *plain.advance(), *plain.advance()]
    changed_lr(plain)
    while not plain.done:
        expected += plain.advance()
    assert [everything(row) for row in rows] == [everything(row) for row in expected]


def test_of_many_runs_too_steps_go_on_while_a_row_of_each_is_decoded(
    bundle: LoadedBundle, texts_that_wait: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the next one that is decoded, and no further where so many rows wait already."""
    monkeypatch.setattr(ahead_module, "MOST_DECODED_ROWS", 3)
    specs = [toy_spec(steps=30, decode_every=5, lr=lr) for lr in (0.01, 0.02, 0.03)]
    optimization = Optimization(specs, bundle)
    ahead = Ahead(optimization, patience_s=0.001)
    rows: list[Step] = []
    while len(rows) < 3 * 5:
        rows += ahead.advance()
    while optimization.next_step(0) < 10:
        assert ahead.advance() == []
    for _ in range(5):
        assert ahead.advance() == []
    assert optimization.next_step(0) == 10
    texts_that_wait.set()
    ahead.close()


@pytest.mark.parametrize("together", [1, 16])
def test_runs_whose_texts_have_failed_hold_no_memory_once_they_are_left(
    together: int, bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the collector, which may come late: it is for want of memory that they are left."""

    def no_room(optimization: Optimization, steps: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Optimization, "said", no_room)
    monkeypatch.setattr(Optimization, "rows_together", together)

    def left() -> weakref.ref[Optimization]:
        optimization = Optimization([toy_spec(steps=6, decode_every=1)], bundle)
        with pytest.raises(torch.OutOfMemoryError):
            Ahead(optimization).advance()
        return weakref.ref(optimization)

    gc.disable()
    try:
        optimization = left()
        wait_until(lambda: optimization() is None, "what the runs held to be let go of")
    finally:
        gc.enable()
