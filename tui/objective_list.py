"""What `objectives` prints: terms, constraints, methods, optimisers and their options, schedules, presets."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

from engine.export import json_line
from engine.objective import CONSTRAINTS, TERMS
from engine.objective.option import Option
from engine.optimizers import OPTIMIZERS
from engine.population.options import METHODS, POPULATION_OPTIONS
from engine.population.options import NAME as POPULATION
from engine.schedule import SCHEDULES, Schedule
from tui.presets import BUILT_IN, PUBLISHED, Preset, read_presets
from tui.spelled import spelled_option
from tui.text import safe_text

_ALL_OF_A_PIPE = 10_000
_NAME = 12


def print_table() -> None:
    """Print everything as lines for people, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ALL_OF_A_PIPE
    for line in _lines(max(width, 40)):
        print(line)


def print_object() -> None:
    """Print everything as one JSON object in one line."""
    print(
        json_line(
            {
                "type": "objectives",
                "terms": [
                    {
                        "name": term.name,
                        "about": term.about,
                        **_entry(term.description, term.name, term.options),
                    }
                    for term in TERMS.values()
                ],
                "constraints": [
                    {"name": one.name, **_entry(one.description, one.name, one.options)}
                    for one in CONSTRAINTS.values()
                ],
                "methods": [
                    {"name": name, **_entry(description, name, _method_options(name))}
                    for name, description in METHODS.items()
                ],
                "optimizers": [
                    {"name": one.name, **_entry(one.description, one.name, one.options)}
                    for one in OPTIMIZERS.values()
                ],
                "schedules": [
                    {"form": kind.form, "description": kind.does, "of": list(_of(kind))} for kind in SCHEDULES
                ],
                "presets": [
                    {
                        "name": name,
                        "description": preset.description,
                        "kind": kind,
                        "spec": preset.spec.model_dump(mode="json"),
                    }
                    for name, kind, preset in _presets()
                ],
            }
        )
    )


def _entry(description: str, name: str, options: Iterable[Option]) -> dict[str, object]:
    return {
        "description": description,
        "options": [
            {
                "name": f"{name}.{option.name}",
                "default": list(option.default) if isinstance(option.default, tuple) else option.default,
                "description": option.description,
                "allowed": option.allowed,
            }
            for option in options
        ],
    }


def _of(kind: type[Schedule]) -> tuple[str, ...]:
    return ("lr", "terms") if kind.is_of_terms else ("lr",)


def _method_options(name: str) -> tuple[Option, ...]:
    return POPULATION_OPTIONS if name == POPULATION else ()


def _presets() -> Iterator[tuple[str, str, Preset]]:
    """Name, kind and preset of each."""
    for name, preset in BUILT_IN.items():
        yield name, "published" if name in PUBLISHED else "built in", preset
    for name, preset in read_presets().items():
        yield name, "own", preset


def _lines(width: int) -> Iterator[str]:
    yield "Loss terms: --weight NAME=NUMBER, and as it goes on --schedule NAME=SCHEDULE"
    for term in TERMS.values():
        yield from _entry_lines(term.name, f"of {term.about}: {term.description}", term.options, width)
    yield ""
    yield "Constraints: --option NAME=VALUE; the first one switches it on"
    for constraint in CONSTRAINTS.values():
        yield from _entry_lines(constraint.name, constraint.description, constraint.options, width)
    yield ""
    yield "Methods: --method NAME"
    for name, description in METHODS.items():
        yield from _entry_lines(name, description, _method_options(name), width)
    yield ""
    yield "Optimisers: --optimizer NAME"
    for optimizer in OPTIMIZERS.values():
        yield from _entry_lines(optimizer.name, optimizer.description, optimizer.options, width)
    yield ""
    yield "Schedules: --schedule lr=SCHEDULE; @STEP at the end says where it begins"
    for schedule in SCHEDULES:
        does = f"{schedule.does} (of {', '.join(_of(schedule))})"
        yield from _hanging(schedule.form, does, width, indent=2, cells=25)
    yield ""
    yield "Presets: run --preset NAME"
    presets = [(safe_text(name), kind, preset.description) for name, kind, preset in _presets()]
    cells = _cells((name for name, _, _ in presets), _NAME)
    for name, kind, description in presets:
        yield from _hanging(
            name, f"{kind}: {description}" if description else kind, width, indent=2, cells=cells
        )


def _entry_lines(name: str, description: str, options: Iterable[Option], width: int) -> Iterator[str]:
    yield from _hanging(name, description, width, indent=2, cells=_NAME)
    named = {f"{name}.{option.name}": option for option in options}
    cells = _cells(named, 20)
    for full_name, option in named.items():
        default = " ".join(spelled_option(option.default)) or "none"
        said = f"{option.description} ({default}); {option.allowed}"
        yield from _hanging(full_name, said, width, indent=4, cells=cells)


def _cells(names: Iterable[str], least: int) -> int:
    """Cells for the longest of the names, unless that leaves too few to what is said of them."""
    return min(max([least, *map(len, names)]), 30)


def _hanging(name: str, text: str, width: int, *, indent: int, cells: int) -> list[str]:
    """A name and what is said about it, the lines after the first under the text."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent + name.ljust(cells) + " ",
        subsequent_indent=" " * (indent + cells + 1),
    )
