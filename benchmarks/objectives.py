"""Objectives compared: what each makes of the same targets and inits, and whether z still means something.

    python -m benchmarks.objectives [--targets FILE] [--inits N] [--steps N] [--only NAME …] [--to FILE]

Every objective optimises each target from each init, and is judged by its decoded rows: how many runs ever
match, how soon, what z itself says, and whether that text alone makes the model say it. Prints a table
as it goes, and writes it as markdown with `--to`.
"""

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle
from engine.optimizer import Optimization
from engine.spec import RunSpec, parse_spec
from engine.step import Step

TARGETS = (
    "Once upon a time, there was a little girl named Lily.",
    "The little dog ran fast to catch the ball.",
    "Mom smiled and gave Tim a big hug.",
    "They played in the park all day long.",
    "Sara was sad because she lost her doll.",
    "The cat sat on the warm mat.",
    "One day, a boy found a shiny red stone.",
    "He was very happy with his new toy car.",
    "The bird sang a pretty song in the tree.",
    "Anna wanted to bake a cake for her friend.",
    "It started to rain, so they ran home.",
    "The bunny hopped away and hid in a bush.",
    "Ben said sorry to his little sister.",
    "The old man told them a funny story.",
    "She picked a yellow flower for her mom.",
    "After lunch, they all took a long nap.",
    "The frog jumped into the cold water.",
    "Max learned to share his toys that day.",
    "A big bear lived in the dark forest.",
    "They looked at the stars and made a wish.",
)
"""In the manner of simple stories, and written for this."""

INITS: tuple[Mapping[str, object], ...] = (
    {"kind": "text", "text": "I like cheese."},
    {"kind": "text", "text": "The dog is happy."},
    {"kind": "random", "seed": 0},
)

OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "ce": {"weights": {"ce": 1.0}},
    "cosine": {"weights": {"cosine": 1.0}},
    "mse": {"weights": {"mse": 1.0}},
    "ce + cosine": {"weights": {"ce": 1.0, "cosine": 1.0}},
    "ce + 0.3 fluency": {"weights": {"ce": 1.0, "fluency": 0.3}},
    "ce + anchor": {"weights": {"ce": 1.0, "anchor": 1.0}},
    "ce + 0.3 prior": {"weights": {"ce": 1.0, "prior": 0.3}},
    "ce, projection every 1": {"options": {"projection.every": 1}},
    "ce, projection every 5": {"options": {"projection.every": 5}},
    "ce, projection every 10": {"options": {"projection.every": 10}},
    "ce, noise 0.1 on 4 copies": {"options": {"noise.copies": 4, "noise.level": 0.1}},
    "ce + 0.3 fluency + 3 anchor": {"weights": {"ce": 1.0, "fluency": 0.3, "anchor": 3.0}},
}
"""Each as fields of a spec."""

STEPS = 200
DECODE_EVERY = 10
RUNS_AT_ONCE = 20

HEADINGS = ("match", "first", "CE", "round trip", "own CE", "CE of text", "text matches", "s")


@dataclass(frozen=True)
class Result:
    """What became of one run."""

    first_match: int | None
    """Step of the first decoded row that matches."""
    best: Step
    """The decoded row with the lowest cross-entropy of the target given z."""
    text_ce: float
    """Lowest cross-entropy of the target given the text of z alone, nats a token."""
    text_matches: bool
    """Whether in some decoded row the text of z alone makes the model say the target."""

    @property
    def ce(self) -> float:
        """Cross-entropy of the target given z in the best row, nats a token."""
        return cross_entropy(self.best)


def cross_entropy(row: Step) -> float:
    """Of the target given z, in a decoded row, nats a token."""
    losses = row.token_losses or ()
    return sum(losses) / len(losses)


def result(rows: Sequence[Step]) -> Result:
    """What became of a run, from its decoded rows."""
    return Result(
        first_match=next((row.step for row in rows if row.match), None),
        best=min(rows, key=cross_entropy),
        text_ce=min(row.measures["reread_ce"] for row in rows),
        text_matches=any(row.measures["reread_match"] for row in rows),
    )


def results(bundle: LoadedBundle, specs: Sequence[RunSpec]) -> Iterator[Result]:
    """Optimise, some at once."""
    for start in range(0, len(specs), RUNS_AT_ONCE):
        batch = specs[start : start + RUNS_AT_ONCE]
        optimization = Optimization(batch, bundle)
        decoded: list[list[Step]] = [[] for _ in batch]
        while not optimization.done:
            for row in optimization.advance():
                if row.decoded_prediction is not None:
                    decoded[row.run].append(row)
        yield from map(result, decoded)


def line(found: Sequence[Result], seconds: float) -> list[str]:
    """One objective's cells, as HEADINGS name them."""
    firsts = [each.first_match for each in found if each.first_match is not None]

    def mean(name: str) -> str:
        return f"{statistics.fmean(each.best.measures[name] for each in found):.2f}"

    return [
        f"{len(firsts) / len(found):.0%}",
        f"{statistics.median(firsts):.0f}" if firsts else "–",
        f"{statistics.fmean(each.ce for each in found):.2f}",
        mean("round_trip"),
        mean("own_ce"),
        f"{statistics.fmean(each.text_ce for each in found):.2f}",
        f"{statistics.fmean(each.text_matches for each in found):.0%}",
        f"{seconds:.0f}",
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objectives", description=__doc__)
    parser.add_argument("--targets", type=Path, help="sentences, one a line (twenty written for this)")
    parser.add_argument("--most-targets", type=int, default=len(TARGETS))
    parser.add_argument("--inits", type=int, default=len(INITS), help="how many of the inits")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--to", type=Path, help="markdown file to write")
    options = parser.parse_args(arguments)
    targets = TARGETS if options.targets is None else options.targets.read_text("utf-8").splitlines()
    targets = targets[: options.most_targets]
    bundle = load_bundle("mini", device=options.device)
    lines = [_heading(options, targets, str(bundle.device))]
    for name in options.only:
        specs = [
            parse_spec(
                init=init,
                target=target,
                steps=options.steps,
                decode_every=DECODE_EVERY,
                beam=options.beam,
                **OBJECTIVES[name],
            )
            for target in targets
            for init in INITS[: options.inits]
        ]
        began = time.perf_counter()
        cells = line(list(results(bundle, specs)), time.perf_counter() - began)
        lines.append(f"| {' | '.join([name, *cells])} |")
        print(lines[-1], flush=True)
        if options.to is not None:  # after each: a study that is broken off has what it has found
            options.to.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heading(options: argparse.Namespace, targets: Sequence[str], device: str) -> str:
    inits = min(options.inits, len(INITS))
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "fairseq2", "sonar-space"))
    heading = f"""# Objectives compared

{date.today()}, bundle mini on {device} ({platform.machine()}), {versions}.
`python -m benchmarks.objectives {shlex.join(sys.argv[1:])}`

{len(targets)} targets × {inits} inits = {len(targets) * inits} runs for each objective,
{options.steps} steps, lr 0.01, norm held, decoded every {DECODE_EVERY} steps with beam {options.beam}.

- match: runs of which some decoded row matches; first: median step of the first such row.
- CE of the target given z, at the decoded row where it is lowest; there also the round trip, cosine(z,
  encode(decode(z))), and own CE, of z for its own text. Means over all runs; nats a token.
- CE of text: lowest CE of the target given encode(decode(z)), the mean over all runs; text matches: runs in
  which that predicts the target in some decoded row.

| objective | {" | ".join(HEADINGS)} |
|---|{"---:|" * len(HEADINGS)}"""
    print(heading)
    return heading


if __name__ == "__main__":
    main()
