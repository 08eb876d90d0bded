"""What `gap` prints: the three texts of each decoded row and their figures, as lines or as JSON."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from engine.export import json_line
from engine.gap import GapGroup, GapRow, all_gap_rows, folded, headline, how_to_measure
from engine.store.reading import Reader
from engine.store.records import RunRecord
from tui.text import safe_text
from tui.widgets.badges import match_sign
from tui.widgets.gap_lines import FROM_TEXT, FROM_Z, NOT_MEASURED, OF_Z, figures_text, steps_text
from tui.words import WORD, changed_spans

_NAME_CELLS = 15


def print_gap(reader: Reader, run_id: int) -> None:
    """Print the newest state in words, then all decoded rows, those that say the same as one.

    Raises:
        UserError: there is no such run.
    """
    run = reader.run(run_id)
    console = Console(highlight=False) if sys.stdout.isatty() else None
    newest = None
    if run.last_step is not None and (decoded := reader.decoded_before(run_id, run.last_step)):
        newest = next(all_gap_rows(reader, run, after=decoded.step - 1), None)
    print(f"run {run_id}: {headline(run, newest)}")
    if newest is not None and newest.reread_prediction is None:
        print(how_to_measure(run))
    target = " ".join(run.targets)
    print(f"target {safe_text(target)}")
    for group in folded(all_gap_rows(reader, run)):
        for line in _lines(group, target):
            if console is None:
                print(line)
            else:
                console.print(Text(line), soft_wrap=True)


def print_gap_objects(reader: Reader, run_id: int) -> None:
    """Print one JSON object for each decoded row, and after them the newest state; see `gap_object`.

    Raises:
        UserError: there is no such run.
    """
    run, newest = reader.run(run_id), None
    for newest in all_gap_rows(reader, run):
        print(json_line(gap_object(run, newest)))
    print(json_line({"type": "gap_summary", "run": run_id, "headline": headline(run, newest)}))


def gap_object(run: RunRecord, row: GapRow) -> dict[str, object]:
    """A decoded row as `gap --format jsonl` names it; what was not measured is None."""
    return {
        "type": "gap",
        "run": run.id,
        "step": row.step,
        "decoded_z": row.decoded_z,
        "decoded_prediction": row.prediction,
        "match": row.match,
        "ce": row.ce,
        "reread_prediction": row.reread_prediction,
        "reread_match": row.reread_match,
        "reread_ce": row.reread_ce,
        "round_trip": row.round_trip,
    }


def _lines(group: GapGroup, target: str) -> Iterator[str]:
    row = group.newest
    yield ""
    yield f"{steps_text(group)}   {figures_text(row)}"
    yield f"  {OF_Z:<{_NAME_CELLS}}{safe_text(row.decoded_z)}".rstrip()
    yield _prediction(FROM_Z, row.prediction, row.match, target)
    if row.reread_prediction is None:
        yield f"  {FROM_TEXT:<{_NAME_CELLS}}{NOT_MEASURED}"
    else:
        yield _prediction(FROM_TEXT, row.reread_prediction, row.reread_match, target)


def _prediction(name: str, text: str, match: bool | None, target: str) -> str:
    """A prediction, and behind it the words that the target lacks, unless those are most of it."""
    shown = safe_text(text)
    spans = changed_spans(safe_text(target), shown)
    added = [shown[start:end] for start, end in spans]
    marked = sum(len(WORD.findall(words)) for words in added)
    is_another = 2 * marked > len(WORD.findall(shown))
    notes = "" if not added or is_another else f"   [not in the target: {', '.join(added)}]"
    return f"{match_sign(match)} {name:<{_NAME_CELLS}}{shown}{notes}".rstrip()
