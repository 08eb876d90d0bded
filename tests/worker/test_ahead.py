"""A worker whose steps run ahead of their rows leaves bit for bit what another one leaves."""

from collections.abc import Callable, Iterator

import pytest

from engine.control import queue_run
from engine.spec import RunSpec
from engine.store.records import Status

from .conftest import Laboratory
from .forked_workers import use_forked_workers
from .records import everything_stored
from .test_resume_exact import kill, leave, played, stop

SPEC = RunSpec(device="cpu", steps=36, decode_every=1, beam=1, max_decoded_tokens=6, lr=0.02, norm=0.5)


@pytest.fixture(scope="module")
def laboratories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Laboratory]]:
    """One whose worker runs ahead, and one whose worker does not."""
    folder = tmp_path_factory.mktemp("ahead")
    both = [Laboratory(folder / name) for name in ("ahead.db", "plain.db")]
    yield both
    for laboratory in both:
        laboratory.kill_worker()


def plain_run(laboratory: Laboratory) -> int:
    run = queue_run(laboratory.database, SPEC, session="tests")
    laboratory.wait_for_end(run)
    return run


def met_break_point(laboratory: Laboratory) -> int:
    """It pauses after the row that meets the condition, and goes on."""
    before = plain_run(laboratory)
    with laboratory.reader() as reader:
        losses = [row.loss or 0.0 for row in reader.steps(before)]
    first = next(step for step, loss in enumerate(losses) if loss < losses[8])
    assert first > 8
    run = queue_run(laboratory.database, SPEC, session="tests", break_points=[f"loss<{losses[8]!r}"])
    laboratory.wait_for_status(run, Status.PAUSED)
    with laboratory.reader() as reader:
        assert reader.run(run).last_step == first
    laboratory.ask(run, "resume")
    laboratory.wait_for_end(run)
    return run


def changed_and_interrupted(laboratory: Laboratory) -> int:
    changes: dict[int, dict[str, object]] = {
        8: {"lr": 0.0123456789012},
        15: {"weights": {"cosine": 0.25}},
        22: {"lr": 0.03},
    }
    return played(laboratory, changes, {5: stop, 12: kill, 26: leave}, SPEC)


def extended(laboratory: Laboratory) -> int:
    run = queue_run(laboratory.database, SPEC.model_copy(update={"steps": 20}), session="tests")
    laboratory.wait_for_end(run)
    laboratory.ask(run, "extend", steps=16)
    laboratory.wait_for_end(run)
    return run


@pytest.mark.parametrize("make", [plain_run, met_break_point, changed_and_interrupted, extended])
def test_what_is_stored_is_the_same(
    make: Callable[[Laboratory], int], laboratories: list[Laboratory], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    for laboratory, runs_ahead in zip(laboratories, (True, False), strict=True):
        with monkeypatch.context() as patch:
            use_forked_workers(patch, with_toy_models=True, runs_ahead=runs_ahead)
            run = make(laboratory)
        with laboratory.reader() as reader:
            assert reader.run(run).status is Status.FINISHED
        stored.append(everything_stored(laboratory.database, run))
    assert stored[0] == stored[1]
    assert len(stored[0]["step"]) == SPEC.steps + 1
