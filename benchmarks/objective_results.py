"""What became of the runs of the study of objectives: kept line by line, as a table and as a picture."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from engine.errors import UserError
from engine.steps.step import Step

HEADINGS = (
    "runs",
    "match",
    "first",
    "CE",
    "round trip",
    "own CE",
    "readable",
    "readable CE",
    "CE of text",
    "text matches",
    "CPU s",
    "device",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one run. Cross-entropies are in nats a token."""

    objective: str
    target: int
    """Counted from 0."""
    init: int
    """Counted from 0."""
    first_match: int | None
    """Step of the first decoded row that matches."""
    ce: float
    """Lowest cross-entropy of the target given z, in a decoded row."""
    round_trip: float
    """cosine(z, encode(decode(z))) in that row."""
    own_ce: float
    """Cross-entropy of z for its own text in that row."""
    readable_ce: float | None
    """Lowest cross-entropy of the target given a z whose round trip makes it readable; None: no such row."""
    readable_match: bool
    """Whether some such row matches."""
    text_ce: float
    """Lowest cross-entropy of the target given the text of z alone, encoded again."""
    text_match: bool
    """Whether in some decoded row the text of z alone makes the model say the target."""
    seconds: float
    """CPU time, of the runs that were made together in equal parts."""
    device: str
    """That computed it, and the torch that did."""


def cross_entropy(row: Step) -> float:
    """Of the target given z, in a decoded row, nats a token."""
    losses = row.token_losses or ()
    return sum(losses) / len(losses)


class Results:
    """A file of outcomes, a line each, below a line of the settings that all of them share."""

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        """Read the file, or begin it.

        Raises:
            UserError: the file is of a study with other settings.
        """
        self._path = path
        self._outcomes: dict[tuple[str, int, int], Outcome] = {}
        self._settings = {**settings, "date": str(date.today())}
        if path.exists():
            first, *rest = path.read_text("utf-8").splitlines()
            for name, value in json.loads(first).items():
                if name != "date" and value != self._settings.get(name):
                    raise UserError(f"{path}: of a study with another {name}; name another file")
            self._settings = json.loads(first)
            self._take(Outcome(**json.loads(line)) for line in rest)
        else:
            path.write_text(json.dumps(self._settings) + "\n", encoding="utf-8")

    def has(self, objective: str, target: int, init: int) -> bool:
        """Whether it is known what became of a run."""
        return (objective, target, init) in self._outcomes

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take up what became of some runs, and write it down."""
        self._take(outcomes)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)

    def of(self, objective: str) -> list[Outcome]:
        """What became of an objective's runs."""
        return [outcome for outcome in self._outcomes.values() if outcome.objective == objective]

    def report(self, objectives: Iterable[str]) -> str:
        """The study as markdown."""
        found = {name: runs for name in objectives if (runs := self.of(name))}
        targets = self._settings["targets"]
        what = f"{len(targets)} written for this" if isinstance(targets, list) else targets
        lines = [
            "# Objectives compared",
            "",
            f"{self._settings['date']}, bundle mini.",
            "",
            f"`{self._settings['command']}`, whose targets are: {what}. Rows are decoded every",
            f"{self._settings['decode_every']} steps with beam {self._settings['beam']}; lr 0.01, the norm "
            "held. A step of population search is a generation.",
            "",
            "- match: runs of which some decoded row matches; first: median step of the first such row.",
            "- CE of the target given z, at the decoded row where it is lowest; there also the round trip,",
            "  cosine(z, encode(decode(z))), and own CE, of z for its own text. Nats a token.",
            f"- readable: runs with a matching row whose round trip is {self._settings['readable']} or more;",
            "  readable CE: lowest CE given such a z, the mean over the runs that have one.",
            "- CE of text: lowest CE of the target given encode(decode(z)); text matches: runs in which that",
            "  makes the model say the target in some decoded row.",
            "- CPU s: seconds of one core for a run, which on a card is what its host was busy.",
            "",
            f"| objective | {' | '.join(HEADINGS)} |",
            f"|---|{'---:|' * len(HEADINGS)}",
            *(f"| {' | '.join([name, *cells(runs)])} |" for name, runs in found.items()),
            "",
        ]
        return "\n".join(lines)

    def draw(self, objectives: Iterable[str], path: Path) -> None:
        """The frontier: match and cross-entropy against the round trip."""
        import matplotlib

        matplotlib.use("svg")
        matplotlib.rcParams["svg.hashsalt"] = path.name  # the same picture from the same results
        matplotlib.rcParams["svg.fonttype"] = "none"
        from matplotlib import pyplot

        found = {name: runs for name in objectives if (runs := self.of(name))}
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5), layout="constrained")
        for number, (name, runs) in enumerate(found.items(), start=1):
            round_trip = statistics.fmean(run.round_trip for run in runs)
            match = statistics.fmean(run.first_match is not None for run in runs)
            text_match = statistics.fmean(run.text_match for run in runs)
            ce = statistics.fmean(run.ce for run in runs)
            text_ce = statistics.fmean(run.text_ce for run in runs)
            for axes, of_z, of_text in ((left, match, text_match), (right, ce, text_ce)):
                colour = pyplot.colormaps["tab20"](number - 1)
                axes.plot([round_trip] * 2, [of_z, of_text], color=colour, linewidth=0.5)
                axes.plot(round_trip, of_z, "o", color=colour, label=f"{number} {name}")
                axes.plot(round_trip, of_text, "o", color=colour, fillstyle="none")
                axes.annotate(str(number), (round_trip, of_z), (4, 4), textcoords="offset points", fontsize=8)
        for axes, title in ((left, "share of runs that match"), (right, "CE of the target, nats a token")):
            axes.set_xlabel("round trip: cosine(z, encode(decode(z)))")
            axes.set_title(f"{title}: given z (full), given the text of z (hollow)", fontsize=10)
            axes.grid(alpha=0.3)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)

    def _take(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._outcomes[outcome.objective, outcome.target, outcome.init] = outcome


def cells(runs: Sequence[Outcome]) -> list[str]:
    """One objective's cells, as HEADINGS name them."""
    firsts = [run.first_match for run in runs if run.first_match is not None]
    readable = [run.readable_ce for run in runs if run.readable_ce is not None]
    return [
        f"{len(runs)}",
        f"{len(firsts) / len(runs):.0%}",
        f"{statistics.median(firsts):.0f}" if firsts else "–",
        f"{statistics.fmean(run.ce for run in runs):.2f}",
        f"{statistics.fmean(run.round_trip for run in runs):.2f}",
        f"{statistics.fmean(run.own_ce for run in runs):.2f}",
        f"{statistics.fmean(run.readable_match for run in runs):.0%}",
        f"{statistics.fmean(readable):.2f}" if readable else "–",
        f"{statistics.fmean(run.text_ce for run in runs):.2f}",
        f"{statistics.fmean(run.text_match for run in runs):.0%}",
        f"{statistics.fmean(run.seconds for run in runs):.0f}",
        ", ".join(sorted({run.device for run in runs})),
    ]
