"""The speed of steps on a card, with random weights of the real shapes: `python -m benchmarks.gpu`.

What is measured stands beside the published loop, measured in the same process, and beside the time that
reading every needed weight twice takes, once on the way forth and once on the way back. With --mini the
same is measured at the size of the embedded models, on the CPU too.
"""

import argparse
import datetime
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.published_loop import published_generator, step_ms
from benchmarks.random_models import MINI, REAL, RandomBundle, Sizes, random_bundle
from engine.optimizer import Optimization
from engine.spec import RunSpec

RUNS_AT_ONCE = (1, 8, 32, 128)


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    ms: float
    """Milliseconds a step, or what `what` says."""

    published_ms: float | None = None
    """The published loop's time for the same work: a step of one run, times the runs."""

    bound_ms: float | None = None
    """What the memory's bandwidth allows at best."""

    def __str__(self) -> str:
        times = "" if self.published_ms is None else f"1/{self.published_ms / self.ms:.1f}"
        bound = "" if self.bound_ms is None else f"{self.bound_ms:.2f}"
        return f"| {self.what} | {self.ms:.2f} | {times} | {bound} |"


def specs(count: int, steps: int) -> list[RunSpec]:
    """Runs that differ in target and learning rate."""
    return [
        RunSpec(target=f"Target {run}.", lr=0.01 * (1 + run % 3), steps=steps, decode_every=steps + 1)
        for run in range(count)
    ]


def needed_bytes(bundle: RandomBundle) -> int:
    """Bytes of the weights that a step cannot do without, each once.

    All but the token embedding as such (a few rows), cross-attention's queries and keys with their norm, the
    first layer's self-attention, which does not depend on z, and the generator's queries and keys.
    """
    unneeded = (
        "encoder_decoder_attn.q_proj",
        "encoder_decoder_attn.k_proj",
        "encoder_decoder_attn_layer_norm",
        "decoder.layers.0.self_attn",
        "llama.layers.*.self_attn.q_proj",
        "llama.layers.*.self_attn.k_proj",
    )
    return sum(
        weight.numel() * weight.element_size()
        for model in (bundle.decoder, bundle.generator)
        for name, weight in model.named_parameters()
        if not any(fnmatch(name, f"*{part}*") for part in unneeded)
    )


def read_bytes_a_ms(device: torch.device) -> float:
    """How fast memory is read: the sum of a block that no cache holds."""
    block = torch.ones(2**30 if device.type == "cuda" else 2**26, device=device)
    times_ms = []
    for _ in range(8):
        _wait(device)
        began = time.perf_counter()
        block.sum()
        _wait(device)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return block.numel() * block.element_size() / min(times_ms)


def our_step_ms(bundle: RandomBundle, *, runs: int, steps: int) -> tuple[float, float]:
    """Median milliseconds from one row to the next, and from the specs to the second row."""
    _wait(bundle.device)
    began = time.perf_counter()
    optimization = Optimization(specs(runs, steps + 10), bundle)
    # The first step is made plainly, the second is captured.
    for _ in range(2):
        optimization.advance(decodes=False)
    start_ms = (time.perf_counter() - began) * 1e3
    times_ms = []
    for _ in range(steps + 3):
        began = time.perf_counter()
        optimization.advance(decodes=False)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times_ms[3:]), start_ms


def profiled(bundle: RandomBundle, *, runs: int) -> str:
    """What takes a step's time, by kernels."""
    optimization = Optimization(specs(runs, 20), bundle)
    for _ in range(3):
        optimization.advance(decodes=False)
    activities = [ProfilerActivity.CPU]
    if bundle.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as found:
        optimization.advance(decodes=False)
    order = f"self_{'cuda' if bundle.device.type == 'cuda' else 'cpu'}_time_total"
    table: str = found.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=60)
    return table


def measure(
    sizes: Sizes, device: torch.device, *, steps: int, runs_at_once: tuple[int, ...], profiles: bool
) -> Iterator[Line | str]:
    """The table's lines, as they are measured; and profiles, as texts."""
    bytes_a_ms = read_bytes_a_ms(device)
    yield f"memory read at {bytes_a_ms / 1e6:.0f} GB/s"
    bundle = random_bundle(sizes, device=device, dtype=torch.float32, with_encoder=False)
    generator = published_generator(sizes, device)
    published = step_ms(bundle.decoder, generator, target_tokens=bundle.target_tokens, steps=steps, warm_up=5)
    del generator
    yield Line("published loop, float32, one run", published)
    for dtype in (torch.float32, torch.bfloat16):
        if dtype != bundle.dtype:
            del bundle
            if device.type == "cuda":
                torch.cuda.empty_cache()
            bundle = random_bundle(sizes, device=device, dtype=dtype, with_encoder=False)
        name = str(dtype).removeprefix("torch.")
        bound = 2 * needed_bytes(bundle) / bytes_a_ms
        for runs in runs_at_once:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            ms, start_ms = our_step_ms(bundle, runs=runs, steps=steps)
            what = f"{name}, {'one run' if runs == 1 else f'{runs} runs together'}"
            yield Line(what, ms, published * runs, bound)
            if runs > 1:
                yield Line(f"{what}: per run and step", ms / runs, published)
            yield Line(f"{what}: from its start to the second row", start_ms)
            if device.type == "cuda":
                most_gib = torch.cuda.max_memory_allocated() / 2**30
                yield f"{what}: {most_gib:.1f} GiB at most, without the encoder"
            if profiles:
                yield f"{what}\n\n```\n{profiled(bundle, runs=runs)}\n```"


def report(lines: list[Line | str], device: torch.device, sizes: Sizes) -> str:
    """All that was measured, as Markdown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}"
    head = [
        f"# Steps on {name}",
        "",
        f"Sizes of {sizes.name}, random weights; {RandomBundle.target_tokens} target tokens. "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"torch {torch.__version__}. Command: `python -m benchmarks.gpu {' '.join(sys.argv[1:])}`",
        "",
        "| what | ms | of the published loop | bound by memory, ms |",
        "|---|---|---|---|",
    ]
    table = [str(line) for line in lines if isinstance(line, Line)]
    notes = [f"\n{line}" for line in lines if isinstance(line, str)]
    return "\n".join([*head, *table, *notes]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--mini", action="store_true", help="sizes of the embedded models")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=40, help="that are measured in each line")
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS_AT_ONCE, help="runs stepped together")
    parser.add_argument("--profile", action="store_true", help="show what takes the time")
    parser.add_argument("--to", type=Path, help="file to write the table to")
    options = parser.parse_args(arguments)
    sizes, device = MINI if options.mini else REAL, torch.device(options.device)
    lines = []
    for line in measure(
        sizes, device, steps=options.steps, runs_at_once=tuple(options.runs), profiles=options.profile
    ):
        print(line, flush=True)
        lines.append(line)
    if options.to:
        options.to.parent.mkdir(parents=True, exist_ok=True)
        options.to.write_text(report(lines, device, sizes), encoding="utf-8")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
