"""Steps and decoding on a card, with random weights of the real shapes: `python -m benchmarks.gpu`.

They stand beside the published loop and fairseq2's decoding, measured in the same process, and beside the
time that reading the needed weights takes: twice for a step, on the way forth and on the way back. Where less
was reached than was wanted, what takes the time is shown. With --mini the same is measured at the size of the
embedded models, on the CPU too.
"""

import argparse
import datetime
import gc
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import torch
from torch import nn

import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from benchmarks.decoding_beside import host_ms, slow_down, warm_up
from benchmarks.gpu_table import Entry, Line, Note, Profile, markdown
from benchmarks.kernels import kernel_table
from benchmarks.position_speed import fairseq2_decoding, our_decoding, position_ms, positions
from benchmarks.published_loop import published_generator, step_ms
from benchmarks.random_models import MINI, REAL, RandomBundle, Sizes, random_bundle
from engine.ahead import Ahead, runs_ahead_on
from engine.optimizer import Optimization
from engine.search import Search
from engine.spec import RunSpec

RUNS_AT_ONCE = (1, 8, 32, 128)

STEP_OF_PUBLISHED = {("float32", 1): 1 / 8, ("bfloat16", 1): 1 / 16, ("bfloat16", 128): 1 / 500}
"""Most that is wanted per run and step, of the published loop's time for a step; by precision and runs."""

POSITION_OF_FAIRSEQ2 = {"bfloat16": 1 / 12}
"""Likewise of a decoded position, of fairseq2's time for it."""

FAIRSEQ2_POSITION_MS = 18.0
"""What that is taken to be at most at the real sizes: it varies between processes, and was up to 80 ms."""

SLOW_DOWN = 1.5
CAPTURE_MS = 2000.0
RESIDENT_GIB = {"float32": 10.6, "bfloat16": 5.6}
"""Most that one run takes at the real sizes."""

DECODED_ROWS = 2
DECODED_TOKENS = 20
BEAMS = (5, 1)

_GIB = 2**30
_WARM_UP = 12
_PROFILED_STEPS = 3
_DECODED_STEPS = 48
_BATCHES = 8
_NEVER = 10_000_000


def specs(count: int, steps: int, *, decode_every: int = _NEVER) -> list[RunSpec]:
    """Runs that differ in target and learning rate; unless it is said, only the first row is decoded."""
    return [
        RunSpec(
            target=f"Target {run}.",
            lr=0.01 * (1 + run % 3),
            steps=steps,
            decode_every=decode_every,
            beam=max(BEAMS),
            max_decoded_tokens=DECODED_TOKENS,
            measures="quick",
        )
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
    return sum(_bytes(model, but=unneeded) for model in (bundle.decoder, bundle.generator))


def decoding_bytes(bundle: RandomBundle) -> int:
    """Bytes of the weights that a decoded position cannot do without: all but cross-attention's."""
    return _bytes(bundle.decoder, but=("encoder_decoder_attn",))


def _bytes(model: nn.Module, *, but: tuple[str, ...]) -> int:
    return sum(
        weight.numel() * weight.element_size()
        for name, weight in model.named_parameters()
        if not any(fnmatch(name, f"*{part}*") for part in but)
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


@dataclass(frozen=True)
class Start:
    """A run's first moments."""

    prepared_ms: float
    """Encoding, and what does not change from step to step."""

    first_ms: float
    """The first row: a step that is made plainly, so that kernels and libraries prepare themselves."""

    second_ms: float
    """The second row: the step is captured, and replayed."""

    @property
    def whole_ms(self) -> float:
        """From the spec to the second row."""
        return self.prepared_ms + self.first_ms + self.second_ms


def started(bundle: RandomBundle, *, runs: int) -> tuple[Optimization, Start]:
    """Runs that have made two steps."""
    _wait(bundle.device)
    times = [time.perf_counter()]
    optimization = Optimization(specs(runs, _NEVER), bundle)
    times.append(time.perf_counter())
    for _ in range(2):
        optimization.advance(decodes=False)
        times.append(time.perf_counter())
    prepared, first, second = ((end - begin) * 1e3 for begin, end in pairwise(times))
    return optimization, Start(prepared, first, second)


def our_step_ms(bundle: RandomBundle, *, runs: int, steps: int) -> tuple[float, Start]:
    """Milliseconds from one row to the next, as runs have them, and how long it took until there were two."""
    optimization, start = started(bundle, runs=runs)
    search: Search = Ahead(optimization) if runs_ahead_on(bundle.device) else optimization
    for _ in range(_WARM_UP):
        search.advance()
    began = time.perf_counter()
    for _ in range(steps):
        search.advance()
    elapsed_ms = (time.perf_counter() - began) * 1e3
    search.close()
    return elapsed_ms / steps, start


def profiled(bundle: RandomBundle, *, runs: int) -> str:
    """What takes a step's time."""
    optimization, _ = started(bundle, runs=runs)

    def several() -> None:
        for _ in range(_PROFILED_STEPS):
            optimization.advance(decodes=False)

    several()
    return kernel_table(several, bundle.device, steps=_PROFILED_STEPS)


def profiled_decoding(bundle: RandomBundle) -> str:
    """What takes the time of steps that are all decoded."""
    search = Ahead(Optimization(specs(1, _NEVER, decode_every=1), bundle))
    warm_up(search)
    table = kernel_table(
        lambda: [search.advance() for _ in range(_DECODED_STEPS)], bundle.device, steps=_DECODED_STEPS
    )
    search.close()
    return table


def measure(
    sizes: Sizes,
    device: torch.device,
    *,
    steps: int,
    runs_at_once: tuple[int, ...],
    compiled: bool = False,
    profiles: bool = False,
) -> Iterator[Entry]:
    """The table's lines, as they are measured, and what is to be said besides.

    Args:
        sizes: of the models.
        device: where they are.
        steps: that are measured in each line.
        runs_at_once: numbers of runs that are stepped together.
        compiled: measure compiled steps too.
        profiles: find out what takes the time of every line, not only of those that fall short.
    """
    measured = _Measurement(sizes, device, steps=steps, runs_at_once=runs_at_once, compiled=compiled)()
    # With map, for a loop would hold on to an entry until the next one is there.
    return chain.from_iterable(map(partial(_explained, profiles=profiles), measured))


def _explained(entry: Entry, *, profiles: bool) -> list[Entry]:
    """An entry, and what takes its time where that is to be said.

    It keeps nothing of what was measured: models of another precision would still be in the card's memory.
    """
    if not isinstance(entry, Line) or entry.profile is None:
        return [entry]
    line = replace(entry, profile=None)
    if not profiles and entry.is_met:
        return [line]
    try:
        return [line, Profile(entry.what, entry.profile())]
    except torch.OutOfMemoryError:
        return [line, Profile(entry.what, "out of memory")]


class _Measurement:
    """What the lines share while they are measured."""

    def __init__(
        self,
        sizes: Sizes,
        device: torch.device,
        *,
        steps: int,
        runs_at_once: tuple[int, ...],
        compiled: bool,
    ) -> None:
        self._sizes, self._device, self._steps, self._runs_at_once = sizes, device, steps, runs_at_once
        self._measures_compiled = compiled
        self._bytes_a_ms = 0.0
        self._published_ms: float | None = None

    def __call__(self) -> Iterator[Entry]:
        self._bytes_a_ms = read_bytes_a_ms(self._device)
        yield Note(f"memory read at {self._bytes_a_ms / 1e6:.0f} GB/s")
        yield from self._if_it_fits("published loop, float32, one run", self._published)
        for dtype in (torch.float32, torch.bfloat16):
            name = _name(dtype)
            if self._device.type == "cuda":
                yield from self._if_it_fits(
                    f"{name}, one run: memory at most, everything resident", partial(self._resident, dtype)
                )
            yield from self._if_it_fits(
                f"{name}, all without the encoder", partial(self._of_precision, dtype)
            )

    def _if_it_fits(self, what: str, measure: Callable[[], Iterator[Entry]]) -> Iterator[Entry]:
        """What is measured; a card that is too small for it is no reason to give up."""
        fits = True
        try:
            yield from measure()
        except torch.OutOfMemoryError:
            fits = False
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if not fits:
            yield Line(what, None)

    def _published(self) -> Iterator[Entry]:
        bundle = random_bundle(self._sizes, device=self._device, dtype=torch.float32, with_encoder=False)
        generator = published_generator(self._sizes, self._device)
        tokens = bundle.target_tokens
        ms = step_ms(bundle.decoder, generator, target_tokens=tokens, steps=self._steps, warm_up=5)
        self._published_ms = ms
        yield Line("published loop, float32, one run", ms)

    def _resident(self, dtype: torch.dtype) -> Iterator[Entry]:
        """The memory of one run that steps and is decoded, and how long its start takes."""
        name = _name(dtype)
        bundle = random_bundle(self._sizes, device=self._device, dtype=dtype)
        resident, cold = self._most_memory(bundle)
        bundle.encoder.to("cpu")
        apart, warm = self._most_memory(bundle)
        wanted = RESIDENT_GIB[name] if self._sizes is REAL else None
        what = f"{name}, one run: memory at most"
        yield Line(f"{what}, everything resident", resident.most_gib, "GiB", wanted, resident.beside)
        yield Line(f"{what}, the encoder on the CPU", apart.most_gib, "GiB", resident.most_gib, apart.beside)
        yield Note(f"{name}: {_of_start('the first start of a process', cold)}")
        yield Note(f"{name}: {_of_start('a later start', warm)}")

    def _most_memory(self, bundle: RandomBundle) -> tuple["_Memory", Start]:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        start = started(bundle, runs=1)[1]
        search = Ahead(Optimization(specs(1, _NEVER, decode_every=1), bundle))
        for _ in range(_DECODED_STEPS):
            search.advance()
        search.close()
        free, total = torch.cuda.mem_get_info(self._device)
        return _Memory(torch.cuda.max_memory_allocated(self._device), total - free), start

    def _of_precision(self, dtype: torch.dtype) -> Iterator[Entry]:
        bundle = random_bundle(self._sizes, device=self._device, dtype=dtype, with_encoder=False)
        for runs in self._runs_at_once:
            what = f"{_name(dtype)}, {'one run' if runs == 1 else f'{runs} runs together'}"
            yield from self._if_it_fits(what, partial(self._stepping, bundle, runs, what))
            if self._measures_compiled:
                measure_compiled = partial(self._stepping_compiled, bundle, runs, what)
                yield from self._if_it_fits(f"{what}, compiled", measure_compiled)
        if dtype == torch.bfloat16:
            what = f"{_name(dtype)}, one run, decoding every step: slow-down of the steps"
            yield from self._if_it_fits(what, partial(self._slow_down, bundle, what))
        for beam in BEAMS:
            what = f"{_name(dtype)}, decoding: a position of {DECODED_ROWS} rows, {_search(beam)}"
            yield from self._if_it_fits(what, partial(self._decoding, bundle, beam, what))

    def _stepping(self, bundle: RandomBundle, runs: int, what: str) -> Iterator[Entry]:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        ms, start = our_step_ms(bundle, runs=runs, steps=self._steps)
        if self._device.type == "cuda":
            most_gib = torch.cuda.max_memory_allocated(self._device) / _GIB
            yield Note(f"{what}: {most_gib:.1f} GiB at most, without the encoder")
        share = STEP_OF_PUBLISHED.get((_name(bundle.dtype), runs))
        wanted, beside = None, [] if runs == 1 else [f"{ms:.2f} ms all together"]
        if self._published_ms is not None:
            wanted = None if share is None else share * self._published_ms
            beside.append(f"1/{self._published_ms * runs / ms:.1f} of the published loop")
        bound = 2 * needed_bytes(bundle) / self._bytes_a_ms / runs
        yield Line(
            f"{what}: {'a step' if runs == 1 else 'per run and step'}",
            ms / runs,
            wanted=wanted,
            beside=", ".join(beside),
            bound=bound,
            profile=partial(profiled, bundle, runs=runs),
        )
        if runs > 1:
            ms_of_host = host_ms(bundle, runs=runs, steps=self._steps)
            yield Line(f"{what}: the host's work a step, beside the device's", ms_of_host)
        if runs == 1:
            yield Line(f"{what}: capture of the step", max(0.0, start.second_ms - ms), wanted=CAPTURE_MS)
            since = f"{what}: from its start to the second row, after a warm-up"
            yield Line(since, start.whole_ms, wanted=CAPTURE_MS)

    def _stepping_compiled(self, bundle: RandomBundle, runs: int, what: str) -> Iterator[Entry]:
        compiled = replace(bundle, is_compiled=True)
        ms, start = our_step_ms(compiled, runs=runs, steps=self._steps)
        yield Line(
            f"{what}, compiled: {'a step' if runs == 1 else 'per run and step'}",
            ms / runs,
            beside=f"{start.first_ms / 1e3:.0f} s to compile",
            profile=partial(profiled, compiled, runs=runs),
        )

    def _slow_down(self, bundle: RandomBundle, what: str) -> Iterator[Entry]:
        steps = _BATCHES * self._steps  # rows come a batch at a time
        plain_ms, decoding_ms = slow_down(bundle, steps, beam=max(BEAMS), tokens=DECODED_TOKENS)
        yield Line(
            what,
            decoding_ms / plain_ms,
            "times",
            SLOW_DOWN,
            beside=f"{plain_ms:.2f} ms plain, {decoding_ms:.2f} ms",
            profile=partial(profiled_decoding, bundle),
        )

    def _decoding(self, bundle: RandomBundle, beam: int, what: str) -> Iterator[Entry]:
        fairseq2_decoding(bundle, rows=DECODED_ROWS, beam=beam, most=2)()  # warms up
        theirs = fairseq2_decoding(bundle, rows=DECODED_ROWS, beam=beam, most=DECODED_TOKENS)
        fairseq2_ms = position_ms(theirs, self._device, times=1)
        ours = our_decoding(bundle, rows=DECODED_ROWS, beam=beam, most=DECODED_TOKENS)
        fed = positions(ours())  # does the steps plainly, and captures them
        ours()  # captures what happens once in a text
        ms = position_ms(ours, self._device)
        share = POSITION_OF_FAIRSEQ2.get(_name(bundle.dtype))
        most_ms = min(fairseq2_ms, FAIRSEQ2_POSITION_MS) if self._sizes is REAL else fairseq2_ms
        yield Line(
            what,
            ms,
            wanted=None if share is None else share * most_ms,
            beside=f"1/{fairseq2_ms / ms:.1f} of fairseq2's {fairseq2_ms:.1f} ms",
            bound=decoding_bytes(bundle) / self._bytes_a_ms,
            profile=partial(kernel_table, ours, self._device, steps=fed),
        )


@dataclass(frozen=True)
class _Memory:
    most: int
    on_card: int

    @property
    def most_gib(self) -> float:
        return self.most / _GIB

    @property
    def beside(self) -> str:
        return f"{self.on_card / _GIB:.2f} GiB of the card in use"


def report(entries: list[Entry], device: torch.device, sizes: Sizes) -> str:
    """All that was measured, as Markdown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}"
    head = (
        f"# Steps and decoding on {name}\n\n"
        f"Sizes of {sizes.name}, random weights; {RandomBundle.target_tokens} target tokens. "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"torch {torch.__version__}. Command: `python -m benchmarks.gpu {' '.join(sys.argv[1:])}`"
    )
    return markdown(head, entries)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mini", action="store_true", help="sizes of the embedded models")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=40, help="that are measured in each line")
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS_AT_ONCE, help="runs stepped together")
    parser.add_argument(
        "--compiled", action="store_true", help="measure compiled steps too, a minute or so each"
    )
    parser.add_argument("--profile", action="store_true", help="show what takes the time of every line")
    parser.add_argument("--to", type=Path, help="file to write the table to")
    options = parser.parse_args(arguments)
    sizes, device = MINI if options.mini else REAL, torch.device(options.device)
    entries = []
    for entry in measure(
        sizes,
        device,
        steps=options.steps,
        runs_at_once=tuple(options.runs),
        compiled=options.compiled,
        profiles=options.profile,
    ):
        print(entry, flush=True)
        entries.append(entry)
    if options.to:
        options.to.parent.mkdir(parents=True, exist_ok=True)
        options.to.write_text(report(entries, device, sizes), encoding="utf-8")


def _of_start(what: str, start: Start) -> str:
    return (
        f"{what}: {start.prepared_ms:.0f} ms until the run is prepared, {start.first_ms:.0f} ms for the "
        f"first row (kernels and libraries prepare themselves), {start.second_ms:.0f} ms for the second "
        "(the step is captured)"
    )


def _search(beam: int) -> str:
    return "greedy" if beam == 1 else f"beam {beam}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
