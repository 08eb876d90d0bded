"""The benchmark of a card, at mini size on the CPU: it runs, and says what it measured."""

import gc
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import decoding_beside, gpu
from benchmarks.gpu_table import Line, Note, Profile, markdown
from benchmarks.kernels import kernel_table
from benchmarks.position_speed import fairseq2_decoding, our_decoding, positions
from benchmarks.random_models import MINI, RandomBundle, random_bundle
from engine.fast import inductor

CPU = torch.device("cpu")
TINY = replace(MINI, vocabulary=100, layers=2, ffn_dim=64, llama=MINI.llama | {"num_hidden_layers": 1})


@pytest.fixture(autouse=True)
def _short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "DECODED_TOKENS", 3)
    for module in (gpu, decoding_beside):
        monkeypatch.setattr(module, "_WARM_UP", 1)
    for name in ("_DECODED_STEPS", "_PROFILED_STEPS", "_BATCHES"):
        monkeypatch.setattr(gpu, name, 1)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_it_prints_its_lines_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results" / "table.md"
    gpu.main(["--mini", "--device", "cpu", "--steps", "1", "--runs", "1", "2", "--to", str(path)])
    printed, written = capsys.readouterr().out, path.read_text(encoding="utf-8")
    lines = {_cells(line)[0]: _cells(line) for line in printed.splitlines() if line.startswith("| ")}
    for what in (
        "published loop, float32, one run",
        "float32, one run: a step",
        "bfloat16, one run: a step",
        "bfloat16, one run: from its start to the second row, after a warm-up",
        "bfloat16, 2 runs together: per run and step",
        "bfloat16, decoding: a position of 2 rows, beam 5",
        "bfloat16, decoding: a position of 2 rows, greedy",
        "bfloat16, 2 runs together: the host's work a step, beside the device's",
    ):
        assert "| " + " | ".join(lines[what]).rstrip() in written
        measured, unit = lines[what][1].split()
        assert float(measured) > 0
        assert unit == "ms"
    slow_down = lines["bfloat16, one run, decoding every step: slow-down of the steps"]
    assert slow_down[1:3] == [f"{float(slow_down[1].split()[0]):.2f} times", "≤ 1.50 times"]
    published = float(lines["published loop, float32, one run"][1].split()[0])
    step = lines["float32, one run: a step"]
    wanted = float(step[2].removeprefix("≤ ").removesuffix(" ms"))
    assert wanted == pytest.approx(published / 8, abs=0.01)
    assert step[3] == ("yes" if float(step[1].split()[0]) <= wanted else "no")
    assert f"torch {torch.__version__}" in written
    assert re.search(r"memory read at \d+ GB/s", written)
    for (
        what,
        line,
    ) in lines.items():  # what takes the time stands beside whatever fell short, and nothing else
        assert (f"### {what}\n" in written) == (line[3:4] == ["no"])


def test_what_does_not_fit_is_said_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(sizes: object, device: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(gpu, "published_generator", full)
    monkeypatch.setattr(gpu, "BEAMS", (1,))
    entries = gpu.measure(TINY, CPU, steps=1, runs_at_once=(1,))
    lines = {entry.what: entry for entry in entries if isinstance(entry, Line)}
    assert "| out of memory |" in str(lines["published loop, float32, one run"])
    step = lines["float32, one run: a step"]
    assert step.measured is not None
    assert step.measured > 0
    assert step.wanted is None


def test_models_of_one_precision_are_gone_when_those_of_the_next_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or the memory that is measured of the second is that of both."""
    made: list[weakref.ref[RandomBundle]] = []

    def making(*arguments: Any, **options: Any) -> RandomBundle:
        gc.collect()
        assert [bundle() for bundle in made] == [None] * len(made)
        bundle = random_bundle(*arguments, **options)
        made.append(weakref.ref(bundle))
        return bundle

    monkeypatch.setattr(gpu, "random_bundle", making)
    monkeypatch.setattr(gpu, "BEAMS", (1,))
    entries = list(gpu.measure(TINY, CPU, steps=1, runs_at_once=(1,), profiles=True))
    assert any(isinstance(entry, Profile) for entry in entries)
    assert len(made) == 3  # for the published loop, too


def test_compiled_steps_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor, "BACKEND", "aot_eager")  # needs no compiler
    bundle = random_bundle(TINY, device=CPU, dtype=torch.float32)
    measurement = gpu._Measurement(TINY, CPU, steps=1, runs_at_once=(1,), compiled=True)
    (step,) = measurement._stepping_compiled(bundle, 1, "one run")
    assert isinstance(step, Line)
    assert step.what == "one run, compiled: a step"
    assert step.measured is not None
    assert step.measured > 0
    assert re.fullmatch(r"\d+ s to compile", step.beside)


def test_a_line_says_whether_what_was_wanted_was_reached() -> None:
    assert _cells(str(Line("a step", 5.36, wanted=5.2375)))[:4] == ["a step", "5.36 ms", "≤ 5.24 ms", "no"]
    assert _cells(str(Line("a step", 5.2, wanted=5.2)))[3] == "yes"
    assert _cells(str(Line("memory", 4.57, "GiB", wanted=5.6)))[1:4] == ["4.57 GiB", "≤ 5.60 GiB", "yes"]
    assert _cells(str(Line("a step", None, wanted=5.2)))[1:4] == ["out of memory", "≤ 5.20 ms", "no"]
    assert _cells(str(Line("a step", 0.0312)))[1:4] == ["0.031 ms", "", ""]


def test_the_table_stands_above_notes_and_profiles() -> None:
    written = markdown("# Card", [Note("first"), Line("a", 1.0), Profile("a", "kernels"), Line("b", 2.0)])
    assert (
        written.index("| a | ") < written.index("| b | ") < written.index("- first") < written.index("### a")
    )


def test_kernels_are_counted_and_the_longest_come_first() -> None:
    large, small = torch.ones(400, 400), torch.ones(4)

    def work() -> None:
        for _ in range(4):
            large @ large
        small.relu()

    table = kernel_table(work, CPU, steps=2).splitlines()
    assert re.fullmatch(r"\d+\.\d{3} ms a step in \d+ operations\.", table[0])
    first = _cells(table[4])
    assert first[2:] == ["2", "`aten::mm`"]
    assert int(first[1].removesuffix("%")) > 50


def test_both_ways_of_decoding_find_the_same() -> None:
    bundle = random_bundle(MINI, device=CPU, dtype=torch.float32)
    for beam in (1, 5):
        ours = our_decoding(bundle, rows=2, beam=beam, most=3)()
        theirs = fairseq2_decoding(bundle, rows=2, beam=beam, most=3)()
        assert [text.tolist() for text in ours] == [text.tolist() for text in theirs]
        assert positions(ours) <= 2 + 3


def test_the_bound_counts_each_needed_weight_once() -> None:
    bundle = random_bundle(MINI, device=CPU, dtype=torch.float32)
    dim, ffn, vocabulary, hidden, inner = 384, 1024, 6_000, 768, 1024
    self_attention, norm = 4 * (dim * dim + dim), 2 * dim
    cross_attention = 2 * (dim * dim + dim)
    feed_forward = 2 * dim * ffn + ffn + dim
    decoder = 2 * (self_attention + norm) + 3 * (cross_attention + feed_forward + norm) + norm
    llama = 2 * (2 * hidden * 384 + 3 * hidden * inner + 2 * hidden) + hidden
    projections = 2 * dim * hidden + hidden + dim
    assert gpu.needed_bytes(bundle) == 4 * (decoder + vocabulary * dim + llama + projections)
    position = 3 * (self_attention + feed_forward + 2 * norm) + norm + vocabulary * dim
    assert gpu.decoding_bytes(bundle) == 4 * position
