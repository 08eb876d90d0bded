"""The benchmark of a card, at mini size on the CPU: it runs, and says what it measured."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.random_models import MINI, random_bundle


def test_it_prints_its_lines_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results" / "table.md"
    gpu.main(["--mini", "--device", "cpu", "--steps", "1", "--runs", "1", "2", "--to", str(path)])
    printed, written = capsys.readouterr().out, path.read_text(encoding="utf-8")
    for what in ("published loop, float32, one run", "float32, one run", "bfloat16, 2 runs together"):
        (line,) = re.findall(rf"^\| {what} \| .*$", printed, re.MULTILINE)
        assert line in written
        assert float(line.split("|")[2]) > 0
    assert f"torch {torch.__version__}" in written
    assert re.search(r"memory read at \d+ GB/s", written)


def test_the_bound_counts_each_needed_weight_once() -> None:
    bundle = random_bundle(MINI, device=torch.device("cpu"), dtype=torch.float32)
    dim, ffn, vocabulary, hidden, inner = 384, 1024, 6_000, 768, 1024
    self_attention, norm = 4 * (dim * dim + dim), 2 * dim
    cross_attention = 2 * (dim * dim + dim)
    feed_forward = 2 * dim * ffn + ffn + dim
    decoder = 2 * (self_attention + norm) + 3 * (cross_attention + feed_forward + norm) + norm
    llama = 2 * (2 * hidden * 384 + 3 * hidden * inner + 2 * hidden) + hidden
    projections = 2 * dim * hidden + hidden + dim
    assert gpu.needed_bytes(bundle) == 4 * (decoder + vocabulary * dim + llama + projections)
