"""Steps that are replayed against steps that are made plainly: the same rows, whatever changes on the way."""

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch

from engine import optimizer
from engine.fast import graph
from engine.fast.graph import Replay, capture_on
from engine.models.loaded import LoadedBundle, Targets
from engine.models.loading import load_bundle
from engine.optimizer import Optimization
from engine.spec import RunSpec, with_changes
from engine.steps import own_text
from engine.steps.step import Step
from tests.engine.fast.recorded_graph import HostReadError, RecordedGraphs
from tests.engine.toy import toy_spec

STORY = ("Tom had a red ball.", "I like cheese.", "What is your name?")


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> RecordedGraphs:
    """Steps are captured, as on a card."""
    recorded = RecordedGraphs()
    monkeypatch.setattr(optimizer, "capture_on", lambda device: recorded)
    return recorded


def plainly(monkeypatch: pytest.MonkeyPatch, make: Callable[[], list[Step]]) -> list[Step]:
    with monkeypatch.context() as patch:
        patch.setattr(optimizer, "capture_on", capture_on)
        return make()


def rows_of(optimization: Optimization) -> list[Step]:
    rows = []
    while not optimization.done:
        rows += optimization.advance()
    return rows


def assert_same(rows: list[Step], expected: list[Step]) -> None:
    """Every field of every row, bit for bit, but for the time that it took."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        for field in dataclasses.fields(Step):
            one, two = getattr(row, field.name), getattr(other, field.name)
            if isinstance(one, np.ndarray):
                np.testing.assert_array_equal(one, two, err_msg=field.name)
            elif field.name != "elapsed_ms":
                assert one == two, field.name


CAPTURED: dict[str, list[dict[str, object]]] = {
    "ce": [{}],
    "terms": [{"weights": {"ce": 1.0, "cosine": 0.5, "mse": 0.1}, "norm": "free", "clip": 0.5}],
    "decoded": [{"weights": {"cosine": 1.0}, "decode_every": 2}],
    "lbfgs": [{"optimizer": "lbfgs", "lr": 0.5}],
    "schedules": [{"schedules": {"lr": "cosine:0:6", "cosine": "linear:1:6"}, "optimizer": "adamw"}],
    "plateau": [{"schedules": {"lr": "plateau:0.5:1"}, "optimizer": "sgd", "lr": 1.0}],
    "projection": [{"options": {"projection.every": 3, "projection.moments": "reset"}}],
    "anchors": [{"weights": {"ce": 1.0, "anchor": 0.5}, "options": {"anchor.to": "all"}, "read_every": 3}],
    "copies": [{"options": {"noise.copies": 3}}],
    "copies of some": [
        {"options": {"noise.copies": 2}, "seed": 5, "weights": {"ce": 1.0, "mse": 0.3}},
        {"target": STORY[0], "continuation": STORY[1:]},
    ],
    "story": [{"target": STORY[0], "continuation": STORY[1:], "forcing": "free", "before": STORY[:1]}],
    "batch": [
        {},
        {"target": STORY[0], "optimizer": "sgd", "steps": 4},
        {"init": {"kind": "text", "text": STORY[2]}, "lr": 0.1},
    ],
}


@pytest.mark.parametrize("fields", CAPTURED.values(), ids=CAPTURED)
def test_a_replayed_run_is_the_plain_one(
    bundle: LoadedBundle,
    graphs: RecordedGraphs,
    monkeypatch: pytest.MonkeyPatch,
    fields: list[dict[str, object]],
) -> None:
    specs = [toy_spec(**{"steps": 7, **of_run}) for of_run in fields]
    expected = plainly(monkeypatch, lambda: rows_of(Optimization(specs, bundle)))
    assert_same(rows_of(Optimization(specs, bundle)), expected)
    assert (graphs.captures, graphs.replays) == (1, 7)


def says(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> None:
    """Whenever z is read, all runs say the next of these."""
    given = iter(texts)
    monkeypatch.setattr(own_text, "decode_each", lambda bundle, specs, *of: [next(given)] * len(specs))


READING: dict[str, list[dict[str, object]]] = {
    "one": [{}],
    "copies": [{"options": {"noise.copies": 2, "noise.level": 0.5}}],
    "two": [{}, {"weights": {"ce": 1.0, "anchor": 0.5, "fluency": 0.2}, "optimizer": "sgd"}],
}


@pytest.mark.parametrize("fields", READING.values(), ids=READING)
def test_texts_of_as_many_tokens_share_what_was_captured(
    bundle: LoadedBundle,
    graphs: RecordedGraphs,
    monkeypatch: pytest.MonkeyPatch,
    fields: list[dict[str, object]],
) -> None:
    reading = {"weights": {"ce": 1.0, "fluency": 0.5}, "steps": 13, "read_every": 3, "lr": 0.3}
    specs = [toy_spec(**{**reading, **of_run}) for of_run in fields]
    read = ("my red ball", "ball my red", "A cat.", "red ball my", "A cat.")

    def rows() -> list[Step]:
        says(monkeypatch, read)
        return rows_of(Optimization(specs, bundle))

    expected = plainly(monkeypatch, rows)
    assert_same(rows(), expected)
    assert len({row.terms["fluency"] for row in expected if row.run == 0}) == 14
    assert (graphs.captures, graphs.shared, graphs.replays) == (2, 1, 14 - 2)


class _Shapes:
    """Stand for shapes."""


LENGTHS: dict[str, tuple[dict[str, object], list[int], int]] = {
    "read": ({}, [1, 2, 3, 1, 2, 2, 4, 2, 5, 4, 6], 8),
    "read before and after a projection": (
        {"projection.every": 3},
        [1, 5, 2, 6, 1, 7, 2, 8, 1, 9, 2, 5, 3, 6, 1, 7, 2, 8, 2, 9, 1],
        5,
    ),
}
"""Options, the lengths of what is read, and how many of them are captured where two of them are kept."""


@pytest.mark.parametrize(("options", "lengths", "captures"), LENGTHS.values(), ids=LENGTHS)
def test_of_all_lengths_that_are_read_only_those_that_are_captured_are_kept(
    bundle: LoadedBundle,
    graphs: RecordedGraphs,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    lengths: list[int],
    captures: int,
) -> None:
    monkeypatch.setattr(graph, "MOST_SHAPES", 2)
    tokens: list[weakref.ref[torch.Tensor]] = []

    def remembered(*of: Any) -> Targets:
        made = own_tokens(*of)
        tokens.append(weakref.ref(made.beginning))
        return made

    own_tokens = own_text.own_tokens
    monkeypatch.setattr(own_text, "own_tokens", remembered)
    spec = toy_spec(weights={"ce": 1.0, "fluency": 0.5}, read_every=3, steps=30, lr=0.3, options=options)

    def rows() -> list[Step]:
        says(monkeypatch, ["a " * length for length in lengths])
        return rows_of(Optimization([spec], bundle))

    expected = plainly(monkeypatch, rows)
    says(monkeypatch, ["a " * length for length in lengths])
    optimization = Optimization([spec], bundle)
    del tokens[:]
    assert_same(rows_of(optimization), expected)
    assert graphs.captures == captures
    assert len(tokens) == len(lengths)
    kept = sum(each() is not None for each in tokens)
    assert kept == 2
    assert optimization.done


def test_a_text_that_is_not_repeated_is_not_captured(
    bundle: LoadedBundle, graphs: RecordedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, ["a " * length for length in range(1, 8)])
    rows_of(Optimization([toy_spec(weights={"ce": 1.0, "fluency": 0.5}, read_every=1, steps=5)], bundle))
    assert graphs.captures == 0


def test_what_the_memory_does_not_hold_captured_is_done_plainly(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def no_room(function: Callable[[], object]) -> object:
        tried.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    expected = rows_of(Optimization([toy_spec(steps=6)], bundle))
    monkeypatch.setattr(optimizer, "capture_on", lambda device: no_room)
    assert_same(rows_of(Optimization([toy_spec(steps=6)], bundle)), expected)
    assert tried == [1]


def test_shapes_that_the_memory_never_holds_captured_are_not_kept_for_ever() -> None:
    def no_room(function: Callable[[], Any], beside: Replay | None = None) -> tuple[Replay, Any]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    repeated, done = graph.Repeated(no_room), list[int]()
    kept: weakref.WeakSet[_Shapes] = weakref.WeakSet()
    for _ in range(2 * graph.MOST_SHAPES):
        shapes = _Shapes()
        kept.add(shapes)
        for _ in range(3):
            repeated(lambda: done.append(1), course="steps", shapes=shapes)
    assert len(done) == 3 * 2 * graph.MOST_SHAPES
    assert len(kept) == graph.MOST_SHAPES


def test_several_runs_that_the_memory_does_not_hold_captured_are_for_others_to_part(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(function: Callable[[], object]) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(optimizer, "capture_on", lambda device: no_room)
    optimization = Optimization([toy_spec(), toy_spec()], bundle)
    optimization.advance()
    before = [optimization.state_bytes(run) for run in range(2)]
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            optimization.advance()
    assert [optimization.state_bytes(run) for run in range(2)] == before


def test_steering_changes_the_next_step_and_captures_nothing_again(
    bundle: LoadedBundle, graphs: RecordedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(weights={"ce": 1.0, "cosine": 1.0}, steps=12)

    def steered() -> list[Step]:
        optimization = Optimization([spec], bundle)
        rows = [*optimization.advance(), *optimization.advance(), *optimization.advance()]
        optimization.set_lr(0, 0.05)
        rows += optimization.advance()
        optimization.set_weights(0, {"ce": 0.5, "cosine": 2.0})
        kept = optimization.copy_of_state(0)
        rows += [*optimization.advance(), *optimization.advance()]
        optimization.go_back(0, kept)
        rows += optimization.advance()
        checkpoint = optimization.state_bytes(0)
        rows += optimization.advance()
        optimization.restore(0, checkpoint)
        optimization.extend(0, 14)
        optimization.repeat(0, lr=0.02, weights={"ce": 1.0, "cosine": 0.3})
        rows += optimization.advance()
        optimization.take_spec(0, with_changes(optimization.specs[0], lr=0.01))
        return rows + rows_of(optimization)

    expected = plainly(monkeypatch, steered)
    assert_same(steered(), expected)
    assert {row.lr for row in expected} >= {0.05, 0.02, 0.01, None}
    assert graphs.captures == 1


def test_other_terms_are_captured_anew(
    bundle: LoadedBundle, graphs: RecordedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steered() -> list[Step]:
        optimization = Optimization([toy_spec(steps=12)], bundle)
        rows = [row for _ in range(4) for row in optimization.advance()]
        optimization.set_weights(0, {"cosine": 1.0})
        rows += [row for _ in range(4) for row in optimization.advance()]
        optimization.set_weights(0, {"cosine": 1.0, "ce": 1.0})
        return rows + rows_of(optimization)

    expected = plainly(monkeypatch, steered)
    assert_same(steered(), expected)
    assert [list(row.terms) for row in expected[3:9:4]] == [["ce"], ["cosine"]]
    assert graphs.captures == 3


def test_a_term_that_comes_and_goes_between_two_steps_leaves_the_weights_that_were_set(
    bundle: LoadedBundle, graphs: RecordedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steered() -> list[Step]:
        optimization = Optimization([toy_spec(steps=8)], bundle)
        rows = [row for _ in range(4) for row in optimization.advance()]
        optimization.set_weights(0, {"ce": 1.0, "mse": 0.5})
        optimization.set_weights(0, {"ce": 0.25})
        return rows + rows_of(optimization)

    expected = plainly(monkeypatch, steered)
    assert_same(steered(), expected)
    assert expected[4].loss == expected[4].terms["ce"] * 0.25
    assert graphs.captures == 1


def test_a_row_that_is_not_finite_ends_the_run_when_it_is_replayed(
    bundle: LoadedBundle, graphs: RecordedGraphs
) -> None:
    optimization = Optimization([toy_spec(steps=9, norm="free"), toy_spec(steps=9)], bundle)
    for _ in range(3):
        optimization.advance()
    state = optimization.copy_of_state(0)
    state.z.fill_(float("nan"))
    optimization.go_back(0, state)
    bad, good = optimization.advance()
    assert (bad.problem is None, bad.lr) == (False, None)
    assert good.problem is None
    assert [row.run for row in optimization.advance()] == [1]
    assert graphs.captures == 1


def test_a_step_of_the_embedded_models_asks_nothing_of_the_host(graphs: RecordedGraphs) -> None:
    mini = load_bundle("mini", device="cpu")
    specs = [RunSpec(steps=4, decode_every=100), RunSpec(target="A cat.", steps=4, decode_every=100)]
    rows = rows_of(Optimization(specs, mini))
    assert rows[-1].loss < rows[0].loss
    assert graphs.captures == 1


@pytest.mark.parametrize("has_room", [True, False])
def test_what_has_failed_plainly_is_done_plainly_before_it_is_captured(
    graphs: RecordedGraphs, has_room: bool
) -> None:
    """What failed half-way has not prepared all kernels, which cannot be done while they are captured."""
    fails = iter([True, False, False, False] if has_room else [False, False, True, False, False])
    done: list[int] = []

    def function() -> None:
        done.append(graphs.captures)
        if next(fails):
            raise torch.OutOfMemoryError("CUDA out of memory")

    def capture(function: Callable[[], Any], beside: Replay | None = None) -> tuple[Replay, Any]:
        if not has_room and graphs.captures == 0 and len(done) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return graphs(function, beside)

    repeated = graph.Repeated(capture)
    for _ in range(0 if has_room else 2):
        repeated(function, course="steps")
    with pytest.raises(torch.OutOfMemoryError):
        repeated(function, course="steps")
    repeated(function, course="steps")
    assert graphs.captures == 0
    repeated(function, course="steps")
    assert graphs.captures == 1


class _FailingGraph(AbstractContextManager[None]):
    """Of a capture that cannot be ended."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __exit__(self, *error: object) -> None:
        raise RuntimeError(self._reason)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CUDA error: out of memory\nCUDA kernel errors might be …", torch.OutOfMemoryError),
        ("CUDA error: operation failed due to a previous error during capture", RuntimeError),
    ],
)
def test_a_capture_that_cannot_be_ended_leaves_the_thread_where_it_was(
    monkeypatch: pytest.MonkeyPatch, reason: str, kind: type[Exception]
) -> None:
    """For want of memory perhaps: the driver puts what was captured on the card."""
    streams: list[object] = ["before"]
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: streams[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    monkeypatch.setattr(graph, "_capture_stream", lambda device, of: "steps")
    monkeypatch.setattr(torch.cuda, "graph", lambda *arguments, **more: _FailingGraph(reason))
    capture = capture_on(torch.device("cuda", 0))
    assert capture is not None
    with pytest.raises(RuntimeError, match=r"^CUDA error") as raised:
        capture(lambda: streams.append("steps"))
    assert type(raised.value) is kind
    assert streams == ["before", "steps", "before"]


def test_the_stand_in_refuses_what_a_card_would_wait_for() -> None:
    values = torch.ones(3)
    with pytest.raises(HostReadError):
        RecordedGraphs()(lambda: values * values.sum().item())


def test_the_cpu_has_no_graphs() -> None:
    assert capture_on(torch.device("cpu")) is None
    assert capture_on(torch.device("cuda", 0)) is not None
