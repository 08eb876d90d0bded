"""Queued runs that are stepped together by a worker: each stays a run of its own.

The models are tiny ones. What a run gives alone is what the engine gives of it in this process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import pytest
import torch

from engine.batched import BATCHED
from engine.control import queue_runs, request_task, wait_for_task
from engine.decoding import texts
from engine.decoding.graphs import GraphDecoder
from engine.decoding.incremental import IncrementalDecoder
from engine.decoding.search import Rows, Symbols
from engine.models import loading
from engine.models.loaded import LoadedBundle
from engine.models.sizes import Sizes
from engine.optimizer import Optimization
from engine.search import optimize
from engine.spec import RunSpec
from engine.steps.step import Step
from engine.store.reading import Reader
from engine.store.recording import Recorder
from engine.store.records import Status, StepRecord
from engine.store.schema import prepare
from engine.store.writing import add_run
from engine.verdict import Verdict
from engine.work import room
from engine.work.active_run import ActiveRun
from engine.work.fit import fit_of
from engine.work.together import Together, put_together, ranges
from engine.worker import Worker
from engine.working_memory import LIBRARIES, Asked, working_bytes
from tests.engine.toy import toy_bundle

from .conftest import PATIENCE_S, Laboratory
from .forked_workers import use_forked_workers

TOLERANCE = 1e-4
"""Of a run that is stepped with others against the same run alone, relative or absolute."""

QUICK: Mapping[str, object] = {"device": "cpu", "beam": 1, "max_decoded_tokens": 6}


def spec_of(**fields: object) -> RunSpec:
    return RunSpec.model_validate({**QUICK, **fields})


SPECS = [
    spec_of(steps=30, decode_every=5, lr=0.02),
    spec_of(steps=24, decode_every=7, target="I like cheese.", norm="free"),
    spec_of(steps=40, decode_every=40, lr=0.03, target="Tom had a red ball.", norm=0.5, clip=0.5),
    spec_of(steps=30, decode_every=3, init={"kind": "random", "seed": 3}, schedules={"lr": "plateau:0.5:3"}),
    spec_of(steps=36, decode_every=12, target="What is your name?", weights={"ce": 0.5}),
]
"""Five runs that fit together."""


def endless(lr: float = 0.001, **fields: object) -> RunSpec:
    return spec_of(steps=100_000, decode_every=100_000, lr=lr, **fields)


@pytest.fixture(scope="module")
def bundle() -> LoadedBundle:
    return toy_bundle()


@pytest.fixture
def laboratory(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Laboratory:
    """With workers that step up to eight runs together, their steps ahead of their rows if that is asked."""
    monkeypatch.setenv("SONAR_EXPLORE_RUNS_TOGETHER", "8")
    use_forked_workers(monkeypatch, with_toy_models=True, runs_ahead=getattr(request, "param", False))
    return laboratory


plainly_and_ahead = pytest.mark.parametrize(
    "laboratory", [False, True], indirect=True, ids=["plainly", "ahead"]
)


def queue(laboratory: Laboratory, *specs: RunSpec) -> list[int]:
    return queue_runs(laboratory.database, specs, session="tests", names=[None] * len(specs))


def rows(laboratory: Laboratory, run: int) -> list[StepRecord]:
    with laboratory.reader() as reader:
        return reader.steps(run)


def events(reader: Reader, run: int, kind: str) -> list[tuple[int | None, str]]:
    return [(event.step, event.detail) for event in reader.events(run) if event.kind == kind]


def batches(laboratory: Laboratory, run: int) -> list[tuple[int | None, str]]:
    with laboratory.reader() as reader:
        return events(reader, run, BATCHED)


def finished(laboratory: Laboratory, runs: Sequence[int]) -> list[list[StepRecord]]:
    for run in runs:
        laboratory.wait_for_end(run)
        with laboratory.reader() as reader:
            assert reader.run(run).status is Status.FINISHED, reader.run(run).error
    return [rows(laboratory, run) for run in runs]


def assert_as_alone(made: Sequence[StepRecord], spec: RunSpec, bundle: LoadedBundle) -> None:
    """The same steps with the same numbers but for rounding, decoded at the same places."""
    alone: list[Step] = list(islice(optimize(spec, bundle), len(made)))
    assert [row.step for row in made] == [step.step for step in alone]
    for row, step in zip(made, alone, strict=True):
        for name in ("loss", "similarity", "grad_norm", "z_norm", "lr"):
            expected = pytest.approx(getattr(step, name), rel=TOLERANCE, abs=TOLERANCE)
            assert getattr(row, name) == expected, (row.step, name)
        assert row.terms == pytest.approx(step.terms, rel=TOLERANCE, abs=TOLERANCE)
        assert (row.decoded_prediction is None) == (step.decoded_prediction is None)


@plainly_and_ahead
def test_each_gives_what_it_gives_alone_and_says_with_whom_it_was(
    laboratory: Laboratory, bundle: LoadedBundle
) -> None:
    runs = queue(laboratory, *SPECS)
    for made, spec in zip(finished(laboratory, runs), SPECS, strict=True):
        assert_as_alone(made, spec, bundle)
    for run in runs:
        assert batches(laboratory, run)[0] == (0, "5 runs together: 1–5")
    # 24 steps, then 30 and 30 more, then 36: the eight places become four, two and one
    assert batches(laboratory, 3) == [
        (0, "5 runs together: 1–5"),
        (25, "4 runs together: 1, 3–5"),
        (31, "2 runs together: 3, 5"),
        (37, "alone again"),
    ]

    with laboratory.reader() as reader:
        task = request_task(laboratory.database, "verify", run=4)
        result = wait_for_task(reader, task, PATIENCE_S).result
    assert result is not None
    verdict = Verdict.from_result(result)
    assert (verdict.equal, verdict.is_exact) == (True, False)
    assert verdict.summary == (
        "all equal within tolerance: 31 rows (steps 0 to 30); "
        "recorded together with other runs, made again alone"
    )


@plainly_and_ahead
def test_each_is_steered_alone(laboratory: Laboratory, bundle: LoadedBundle) -> None:
    targets = ("I like cheese.", "Tom had a red ball.", "What is your name?", "She went home to her mother.")
    specs = [endless(target=target) for target in targets]
    paused, changed, stopped, left_alone = runs = queue(laboratory, *specs)
    laboratory.wait_for_step(left_alone, 5)
    first = {run: laboratory.ask(run, kind) for run, kind in ((paused, "pause"), (stopped, "stop"))}
    answer = laboratory.ask(changed, "set", lr=0.02)
    assert answer.applied_step is not None
    laboratory.wait_for_step(left_alone, answer.applied_step + 5)
    for run, command in first.items():
        assert command.applied_step == len(rows(laboratory, run))

    resumed = laboratory.ask(paused, "resume", steps=7)
    assert resumed.applied_step == first[paused].applied_step
    laboratory.wait_for_status(paused, Status.PAUSED)
    assert len(rows(laboratory, paused)) == (resumed.applied_step or 0) + 7
    # a term that the others do not have: it goes on, but not with them
    answer_to_term = laboratory.ask(changed, "set", weights={"cosine": 0.5})
    laboratory.wait_for_step(changed, (answer_to_term.applied_step or 0) + 3)
    assert batches(laboratory, changed)[-1] == (answer_to_term.applied_step, "alone again")
    for run in (changed, left_alone):
        laboratory.ask(run, "stop")

    assert batches(laboratory, left_alone)[0] == (0, "4 runs together: 1–4")
    for run, spec in zip(runs, specs, strict=True):
        if run != changed:
            assert_as_alone(rows(laboratory, run), spec, bundle)
    made = rows(laboratory, changed)
    assert [row.lr for row in made] == [0.001 if row.step < answer.applied_step else 0.02 for row in made]
    assert_as_alone(made[: answer.applied_step], specs[1], bundle)


def test_a_run_that_is_queued_later_joins_and_one_that_does_not_fit_waits(
    laboratory: Laboratory, bundle: LoadedBundle
) -> None:
    first_spec, later_spec = endless(), endless(target="I like cheese.")
    (first,) = queue(laboratory, first_spec)
    laboratory.wait_for_step(first, 3)
    later, other = queue(laboratory, later_spec, endless(weights={"cosine": 1.0}))
    laboratory.wait_for_step(later, 4)
    ((joined_at, detail),) = batches(laboratory, first)
    assert joined_at is not None
    assert joined_at > 3
    assert detail == "2 runs together: 1, 2"
    assert batches(laboratory, later) == [(0, detail)]
    with laboratory.reader() as reader:
        assert reader.run(other).status is Status.QUEUED
    for run in (later, first):
        laboratory.ask(run, "stop")
    laboratory.wait_for_step(other, 1)
    assert batches(laboratory, other) == []
    assert_as_alone(rows(laboratory, first), first_spec, bundle)
    assert_as_alone(rows(laboratory, later), later_spec, bundle)


def test_one_that_is_not_finite_fails_alone(laboratory: Laboratory, bundle: LoadedBundle) -> None:
    infinite = spec_of(steps=5, weights={"ce": 1e39})
    runs = queue(laboratory, SPECS[0], infinite, SPECS[1])
    finished(laboratory, [runs[0], runs[2]])
    laboratory.wait_for_end(runs[1])
    with laboratory.reader() as reader:
        assert reader.run(runs[1]).status is Status.FAILED
        assert (reader.run(runs[1]).error or "").startswith("step 0: the loss is inf")
    assert batches(laboratory, runs[1]) == [(0, "3 runs together: 1–3")]
    for run, spec in ((runs[0], SPECS[0]), (runs[2], SPECS[1])):
        assert_as_alone(rows(laboratory, run), spec, bundle)


@plainly_and_ahead
def test_kill_9_loses_no_row_of_any(laboratory: Laboratory, bundle: LoadedBundle) -> None:
    """The rows since the checkpoints are made again, one run's alone, where they round in another way: those
    that were there stay.
    """
    specs = [endless(target=target) for target in ("I like cheese.", "Tom had a red ball.", "Hello, Zoe.")]
    runs = queue(laboratory, *specs)
    laboratory.wait_for_step(runs[0], 60)
    laboratory.kill_worker()
    acknowledged = [rows(laboratory, run) for run in runs]
    assert laboratory.integrity() == "ok"

    laboratory.ask(runs[1], "resume")
    laboratory.wait_for_step(runs[1], len(acknowledged[1]) + 2)
    for run in (runs[0], runs[2]):
        laboratory.ask(run, "resume")
    for run, before in zip(runs, acknowledged, strict=True):
        laboratory.wait_for_step(run, len(before) + 5)
        laboratory.ask(run, "stop")
    for run, spec, before in zip(runs, specs, acknowledged, strict=True):
        made = rows(laboratory, run)
        assert [row._replace(elapsed_ms=None) for row in made[: len(before)]] == [
            row._replace(elapsed_ms=None) for row in before
        ]
        assert_as_alone(made, spec, bundle)
        with laboratory.reader() as reader:
            assert events(reader, run, "remade") == []


# A worker in this process

Fails = Callable[[Sequence[RunSpec]], Exception | None]


@pytest.fixture
def served(
    laboratory: Laboratory, bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[int]]]:
    """Queue runs, have a worker step them that fails as asked, and return their ids once it has left."""
    cpu = torch.device("cpu")

    def load_bundle(name: str, **how: object) -> LoadedBundle:
        return bundle

    monkeypatch.setattr(loading, "load_bundle", load_bundle)
    prepare(laboratory.database)
    recorder = Recorder(laboratory.database, str(cpu), report=print)

    def serve(*specs: RunSpec, fails: Fails, at_step: int = 0) -> list[int]:
        runs = [
            add_run(laboratory.database, spec, device="cpu", session="tests", name=None) for spec in specs
        ]
        make_step = Optimization.advance

        def advance(self: Optimization, **how: bool | None) -> list[Step]:
            if self.next_step(0) >= at_step and (error := fails(self.specs)):
                raise error
            return make_step(self, **how)

        monkeypatch.setattr(Optimization, "advance", advance)
        Worker(recorder, idle_timeout_s=0.01, runs_together=8).serve()
        return runs

    yield serve
    recorder.close()


FULL_CARD = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 1.00 "
    "GiB is free. Including non-PyTorch memory, this process has 138.80 GiB memory in use. If reserved but "
    "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid "
    "fragmentation. See documentation for Memory Management"
)
"""As torch says it."""


def ready_to_decode(bundle: LoadedBundle) -> GraphDecoder:
    """What decoding keeps on a card, after a text."""
    graphs = GraphDecoder(IncrementalDecoder(bundle.decoder), None)
    graphs(torch.zeros(1, bundle.dim), Rows(torch.tensor([[3, 4]]), torch.tensor([9])), Symbols(3, 0), beam=2)
    assert graphs.nbytes > 0
    return graphs


def test_what_is_decoded_in_other_batches_lets_go_of_the_old_ones(bundle: LoadedBundle) -> None:
    runs = [active_run(bundle, number, spec) for number, spec in enumerate(SPECS[:3])]
    texts._graphs[bundle] = ready_to_decode(bundle)
    put_together(runs, places=4)
    assert texts.kept_bytes(bundle) == 0
    texts._graphs[bundle] = ready_to_decode(bundle)
    put_together(runs[:2], places=4)
    assert texts.kept_bytes(bundle) > 0
    texts.let_go(bundle)


def active_run(bundle: LoadedBundle, number: int, spec: RunSpec) -> ActiveRun:
    """A run at its beginning, alone."""
    return ActiveRun(
        number,
        bundle,
        Optimization([spec], bundle),
        conditions=[],
        before=None,
        decoded_before=None,
        asked_for=spec,
        in_force=spec,
    )


def test_what_does_not_fit_into_memory_together_goes_on_by_halves(
    laboratory: Laboratory, bundle: LoadedBundle, served: Callable[..., list[int]]
) -> None:
    kept: list[int] = []

    def too_many(specs: Sequence[RunSpec]) -> Exception | None:
        kept.append(texts.kept_bytes(bundle))
        if len(specs) <= 2:
            return None
        texts._graphs[bundle] = ready_to_decode(bundle)
        return torch.OutOfMemoryError(FULL_CARD)

    runs = served(*SPECS[:4], fails=too_many, at_step=3)
    for made, spec in zip(finished(laboratory, runs), SPECS, strict=False):
        assert_as_alone(made, spec, bundle)
    with laboratory.reader() as reader:
        (regrouped,) = events(reader, runs[0], "regrouped")
        assert events(reader, runs[0], "remade") == []
    assert regrouped == (
        3,
        "a step of 4 runs failed: at most 2 runs together now: OutOfMemoryError: CUDA out of memory. Tried "
        "to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 1.00 GiB is free; "
        "the whole error is in the worker's log",
    )
    assert set(kept) == {0}, "what decoding kept ready is let go of"
    assert batches(laboratory, runs[0])[:2] == [
        (0, "4 runs together: 1–4"),
        (0, "2 runs together: 1, 2"),  # no checkpoint was there yet
    ]


def test_one_that_has_no_step_fails_alone(
    laboratory: Laboratory, bundle: LoadedBundle, served: Callable[..., list[int]]
) -> None:
    def is_among(specs: Sequence[RunSpec]) -> Exception | None:
        return RuntimeError("it breaks") if any(spec.seed == 7 for spec in specs) else None

    specs = [*SPECS[:2], spec_of(steps=9, seed=7), SPECS[2]]
    runs = served(*specs, fails=is_among)
    for run, spec in zip(runs, specs, strict=True):
        if spec.seed == 7:
            with laboratory.reader() as reader:
                assert reader.run(run).status is Status.FAILED
                assert (reader.run(run).error or "").startswith("RuntimeError: it breaks")
        else:
            (made,) = finished(laboratory, [run])
            assert_as_alone(made, spec, bundle)


# Which fit


@pytest.mark.parametrize(
    "fields",
    [
        {"target": "I like cheese.", "lr": 1.0, "steps": 7, "seed": 3, "norm": "free", "clip": 1.0},
        {"weights": {"ce": 0.1}, "schedules": {"lr": "cosine:0:9", "ce": "linear:0:9"}},
        {"init": {"kind": "random", "seed": 1}, "decode_every": 1, "beam": 1, "vectors": "ends"},
    ],
)
def test_what_is_each_run_s_own_does_not_keep_runs_apart(fields: dict[str, object]) -> None:
    assert fit_of(spec_of(**fields)) == fit_of(spec_of()) is not None


def test_options_of_the_optimiser_do_not_either() -> None:
    decaying = spec_of(optimizer="adamw", options={"adamw.weight_decay": 0.2})
    assert fit_of(decaying) == fit_of(spec_of(optimizer="adamw"))


@pytest.mark.parametrize(
    "fields",
    [
        {"weights": {"cosine": 1.0}},
        {"schedules": {"cosine": "linear:1:9"}},
        {"optimizer": "sgd"},
        {"dtype": "bfloat16"},
        {"bundle": "sonar-llm-100m"},
        {"encoder": "cpu"},
        {"continuation": ("And then?",)},
        {"context": ("It was late.",)},
    ],
)
def test_what_makes_another_step_keeps_runs_apart(fields: dict[str, object]) -> None:
    assert fit_of(spec_of(**fields)) not in (fit_of(spec_of()), None)


@pytest.mark.parametrize(
    "fields",
    [
        {"weights": {"ce": 1.0, "fluency": 0.1}},
        {"options": {"projection.every": 5}},
        {"options": {"noise.copies": 2}},
        {"method": "population"},
    ],
)
def test_what_needs_the_host_is_stepped_alone(fields: dict[str, object]) -> None:
    assert fit_of(spec_of(**fields)) is None


def test_how_many_there_may_be_is_asked_for_or_what_the_card_has_memory_for(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no card here: what is free on it is answered by a stand-in."""
    short, long = endless(), endless(target=" ".join(["What is your name?"] * 5))
    sizes = Sizes.of({"decoder": bundle.decoder, "generator": bundle.generator})

    def taken(spec: RunSpec, runs: int) -> int:
        asked = Asked.of(spec, bundle.tokens_of_target(spec.target, None))
        return LIBRARIES + working_bytes(sizes, torch.float32, asked, runs)

    free = taken(short, 24)
    monkeypatch.setattr(room, "_free", lambda device: free)
    on_card = replace(bundle, device=torch.device("cuda:0"))

    by_itself = Together({}, asked=None, report=print)
    assert by_itself.most(bundle, [(1, short)]) == 1
    assert by_itself.most(on_card, [(1, short)]) == 24
    with_long = by_itself.most(on_card, [(1, short), (2, long)])
    assert taken(long, with_long) <= free < taken(long, with_long + 1)
    assert with_long < 24
    assert Together({}, asked=5, report=print).most(bundle, [(1, short)]) == 5
    by_itself.cap(2, 2)
    assert by_itself.most(on_card, [(1, short), (2, short)]) == 2
    free *= 1000
    assert by_itself.most(on_card, [(1, short)]) == 128


def test_numbers_are_said_in_ranges() -> None:
    assert ranges([5, 3, 4, 9, 11, 12]) == "3–5, 9, 11, 12"
