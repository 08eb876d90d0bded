"""What is in the source distribution: its pages' links lead somewhere there, too."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!https?://|#)([^)\s#]+)")


def included() -> list[Path]:
    """Files and folders that the distribution is made of."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all(pattern.startswith("/") for pattern in patterns)  # without it a folder's namesake counts too
    return [REPOSITORY / pattern.removeprefix("/") for pattern in patterns]


def links(page: Path) -> Iterator[Path]:
    """Files that a page links to."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / link).resolve()


def test_every_link_of_its_pages_leads_to_a_file_of_it() -> None:
    tops = included()
    pages = [
        *(top for top in tops if top.suffix == ".md"),
        *REPOSITORY.glob("docs/*.md"),
        *REPOSITORY.glob("benchmarks/results/*.md"),
        REPOSITORY / "engine" / "mini" / "README.md",
    ]
    found = {(page.name, target) for page in pages for target in links(page)}
    lost = {
        (page, str(target))
        for page, target in found
        if not (target.is_file() and any(target.is_relative_to(top) for top in tops))
    }
    assert len(found) > 15
    assert lost == set()


def test_it_has_what_make_needs_to_set_up_run_and_test() -> None:
    tops = included()
    assert all(top.exists() for top in tops)
    needed = ("Makefile", "requirements.lock", "sessions.db", "tests")
    assert {REPOSITORY / name for name in needed} <= {*tops}
