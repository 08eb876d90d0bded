"""Objectives compared: what each makes of the same targets and inits, and whether z still means something.

    python -m benchmarks.objectives [--corpus CORPUS_DIR] [--only NAME …] [--processes N] [--results FILE]

Every objective optimises each target from each of its inits, and is judged by its decoded rows: how many
runs ever match, how soon, what z itself says, and whether that text alone makes the model say the target.

What became of each run goes to a file, a line a run, as soon as it is there; runs that the file has are not
made again. From it come a table and a picture of the same name. The targets are sentences written for this,
or, with the training text at hand (engine/mini/README.md), sentences of TinyStories held out of it.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch

import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
from benchmarks.objective_results import Outcome, Results, cross_entropy
from engine.errors import UserError
from engine.mini.corpus import held_out_sentences, read_corpus
from engine.mini.prepared import TINYSTORIES
from engine.models.loaded import LoadedBundle
from engine.models.loading import load_bundle
from engine.population.options import NAME as POPULATION
from engine.search import begin_search
from engine.spec import RunSpec, parse_spec
from engine.steps.step import Step

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

HELD_OUT_WORDS = range(5, 13)
"""How many words a held-out target has."""

INITS: tuple[Mapping[str, object], ...] = (
    {"kind": "text", "text": "I like cheese."},
    {"kind": "text", "text": "The dog is happy."},
    {"kind": "random", "seed": 0},
)


@dataclass(frozen=True)
class Objective:
    """What is studied."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the spec."""
    inits: int = len(INITS)
    """How many of the inits it is tried from."""
    steps: int = 200


def weighted(**weights: float) -> Objective:
    """A weighted sum of terms."""
    return Objective({"weights": weights})


def projected(every: int) -> Objective:
    """Cross-entropy, with z put to the embedding of its own text every few steps."""
    return Objective({"options": {"projection.every": every}})


OBJECTIVES: Mapping[str, Objective] = {
    "ce": Objective(),
    "cosine": weighted(cosine=1.0),
    "mse": weighted(mse=1.0),
    "ce + cosine": weighted(ce=1.0, cosine=1.0),
    "ce + 0.3 fluency": weighted(ce=1.0, fluency=0.3),
    "ce + 0.3 prior": weighted(ce=1.0, prior=0.3),
    "ce + anchor": weighted(ce=1.0, anchor=1.0),
    "ce + 3 anchor": weighted(ce=1.0, anchor=3.0),
    "ce + 10 anchor": weighted(ce=1.0, anchor=10.0),
    "ce + 30 anchor": weighted(ce=1.0, anchor=30.0),
    "ce + 0.3 fluency + 3 anchor": weighted(ce=1.0, fluency=0.3, anchor=3.0),
    "ce, projection every 1": projected(1),
    "ce, projection every 5": projected(5),
    "ce, projection every 10": projected(10),
    "ce, noise 0.1 on 4 copies": Objective({"options": {"noise.copies": 4, "noise.level": 0.1}}),
    "population": Objective({"method": "population"}, inits=1, steps=30),
}

DECODE_EVERY = 10
RUNS_AT_ONCE = 10
READABLE = 0.9
"""Least round trip of a z that is what it says."""


@dataclass(frozen=True)
class Work:
    """Runs of one objective that are made together."""

    objective: str
    targets: Sequence[str]
    places: Sequence[tuple[int, int]]
    """Of each run: its target and its init, counted from 0."""
    beam: int
    steps: int | None
    """In place of the objective's own."""

    def specs(self) -> list[RunSpec]:
        """What is optimised."""
        studied = OBJECTIVES[self.objective]
        return [
            parse_spec(
                init=INITS[init],
                target=self.targets[target],
                steps=self.steps or studied.steps,
                decode_every=DECODE_EVERY,
                beam=self.beam,
                **studied.fields,
            )
            for target, init in self.places
        ]


def decoded_rows(bundle: LoadedBundle, specs: Sequence[RunSpec]) -> list[list[Step]]:
    """Optimise together; the decoded rows of each run."""
    search = begin_search(specs, bundle)
    decoded: list[list[Step]] = [[] for _ in specs]
    while not search.done:
        for row in search.advance():
            if row.decoded_prediction is not None:
                decoded[row.run].append(row)
    return decoded


def outcomes(work: Work, bundle: LoadedBundle) -> list[Outcome]:
    """Make runs, and say what became of each."""
    began = time.process_time()
    rows = decoded_rows(bundle, work.specs())
    seconds = (time.process_time() - began) / len(rows)
    device = f"{bundle.device.type}, torch {torch.__version__}"
    return [
        outcome(work.objective, *place, decoded, seconds=seconds, device=device)
        for place, decoded in zip(work.places, rows, strict=True)
    ]


def outcome(
    objective: str, target: int, init: int, rows: Sequence[Step], *, seconds: float, device: str
) -> Outcome:
    """What became of a run, from its decoded rows."""
    best = min(rows, key=cross_entropy)
    readable = [row for row in rows if row.measures["round_trip"] >= READABLE]
    return Outcome(
        objective=objective,
        target=target,
        init=init,
        first_match=next((row.step for row in rows if row.match), None),
        ce=cross_entropy(best),
        round_trip=best.measures["round_trip"],
        own_ce=best.measures["own_ce"],
        readable_ce=min(map(cross_entropy, readable), default=None),
        readable_match=any(row.match for row in readable),
        text_ce=min(row.measures["reread_ce"] for row in rows),
        text_match=any(row.measures["reread_match"] for row in rows),
        seconds=seconds,
        device=device,
    )


def made(works: Sequence[Work], *, processes: int, device: str) -> Iterator[list[Outcome]]:
    """Make runs, in this process or in several, and give what became of them as it is there."""
    if processes == 1:
        bundle = load_bundle("mini", device=device)
        yield from (outcomes(work, bundle) for work in works)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for future in as_completed([pool.submit(_outcomes, work, device) for work in works]):
            yield future.result()


def _outcomes(work: Work, device: str) -> list[Outcome]:
    return outcomes(work, load_bundle("mini", device=device))


def held_out_targets(corpus: Path, count: int) -> list[str]:
    """The first sentences of TinyStories that are held out of the training, of five to twelve words."""
    sentences = held_out_sentences(read_corpus(corpus))[TINYSTORIES]
    return [sentence for sentence in sentences if len(sentence.split()) in HELD_OUT_WORDS][:count]


def works(options: argparse.Namespace, targets: Sequence[str], results: Results) -> list[Work]:
    """What is still to be made."""
    found: list[Work] = []
    for name in options.only:
        inits = range(min(options.inits, OBJECTIVES[name].inits))
        places = [place for place in product(range(len(targets)), inits) if not results.has(name, *place)]
        at_once = 1 if OBJECTIVES[name].fields.get("method") == POPULATION else RUNS_AT_ONCE
        found += [
            Work(name, targets, places[first : first + at_once], options.beam, options.steps)
            for first in range(0, len(places), at_once)
        ]
    return found


def command(options: argparse.Namespace) -> str:
    """What makes the same study, but for how the work is shared and where it is written."""
    words = ["python -m benchmarks.objectives"]
    words += ["--corpus CORPUS_DIR"] if options.corpus else []
    for name, default in (("targets", len(TARGETS)), ("inits", len(INITS)), ("steps", None), ("beam", 5)):
        if (value := getattr(options, name)) != default:
            words.append(f"--{name} {value}")
    return " ".join(words)


def main(arguments: list[str] | None = None) -> None:
    """Run the study, print its table and write its files."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.objectives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, metavar="CORPUS_DIR", help="where the training text is")
    parser.add_argument("--targets", type=int, default=len(TARGETS), help="how many (%(default)s)")
    parser.add_argument("--inits", type=int, default=len(INITS), help="at most so many of the inits")
    parser.add_argument("--steps", type=int, help="of every run, in place of the objective's own")
    parser.add_argument("--beam", type=int, default=5, help="with which rows are decoded (%(default)s)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="that share the work (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES), metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("objectives.jsonl"), help="(%(default)s)")
    options = parser.parse_args(arguments)
    targets = list(TARGETS) if options.corpus is None else held_out_targets(options.corpus, options.targets)
    targets = targets[: options.targets]
    settings = {
        "targets": targets if options.corpus is None else f"{len(targets)} held out of TinyStories",
        "decode_every": DECODE_EVERY,
        "beam": options.beam,
        "steps": options.steps,
        "readable": READABLE,
        "command": command(options),
    }
    try:
        results = Results(options.results, settings)
    except UserError as error:
        parser.error(str(error))
    to_do = works(options, targets, results)
    for found in made(to_do, processes=options.processes, device=options.device):
        results.add(found)
        print(f"{found[0].objective}: {len(found)} more runs", flush=True)
    report = results.report(list(OBJECTIVES))
    print(report)
    options.results.with_suffix(".md").write_text(report, encoding="utf-8")
    results.draw(list(OBJECTIVES), options.results.with_suffix(".svg"))


if __name__ == "__main__":
    main()
