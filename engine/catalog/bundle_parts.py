"""The parts of a bundle: whether each is on this machine and where, how large it is, and getting it."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.bundles import Bundle, is_card, is_path
from engine.catalog.cards import CARDS, Card, is_address, local_file, place_of
from engine.catalog.downloads import (
    fetch_file,
    fetch_generator,
    hub_place,
    local_generator,
    partly_fetched_bytes,
)
from engine.catalog.generator_files import CONFIG_FILE, is_complete, weight_files
from engine.errors import UserError

_CARDS_PATIENCE_S = 180


@dataclass(frozen=True)
class Part:
    """One part of a bundle."""

    name: str
    """encoder, decoder, tokenizer or generator."""

    source: str
    """As the bundle names it: a card, an id, a path, an address."""

    address: str | None
    """Of the download, or `hf://` and the id; None for what is given as a path."""

    path: Path | None
    """Where it is; None: not here, or not all of it."""

    place: Path
    """Where it is looked for."""

    bytes: int | None
    """On disk; else about what is to be downloaded, where that is known."""

    bytes_here: int
    """Of a download that was interrupted; all of them where it is here."""

    @property
    def is_here(self) -> bool:
        """Whether it can be loaded without a network."""
        return self.path is not None


def parts_of(bundle: Bundle, cards: Mapping[str, Card] = CARDS) -> list[Part]:
    """The parts of a bundle as they are now: encoder, decoder, tokenizer, generator.

    Args:
        bundle: Which one.
        cards: What the asset cards say that it names (`cards_of`).
    """
    tokenizer = bundle.tokenizer or bundle.encoder
    return [
        _file_part("encoder", bundle.encoder, cards, "checkpoint"),
        _file_part("decoder", bundle.decoder, cards, "checkpoint"),
        _file_part("tokenizer", tokenizer, cards, "tokenizer"),
        _generator_part(bundle),
    ]


def check_paths(bundle: Bundle) -> None:
    """Refuse a bundle if any part is given as a path where it is not, before another is loaded or downloaded.

    Raises:
        UserError: one line that names each such path.
    """
    try:
        missing = list(_missing_paths(bundle))
    except OSError as error:
        raise UserError(f"bundle: {bundle.name}: {error.filename}: {error.strerror}") from error
    if missing:
        raise UserError("; ".join(missing))


def may_need_download(name: str, bundle: Bundle) -> bool:
    """Whether a part (encoder, decoder or generator) is not here, or only fairseq2 can tell."""
    if name == "generator":
        return not _generator_part(bundle).is_here
    source: str = getattr(bundle, name)
    if is_card(source) and source not in CARDS:
        return True
    return not _file_part(name, source, CARDS, "checkpoint").is_here


def fetch(part: Part, *, revision: str | None) -> Path:
    """Download a part, unless it is here; huggingface_hub shows a bar.

    Args:
        part: Which one.
        revision: Of a generator from Hugging Face; None: its main branch.

    Returns:
        Where it is.

    Raises:
        UserError: it cannot be had; the line says what to put where.
    """
    if part.address is None:
        if part.path is None:
            raise UserError(f"{part.name}: {part.source}: no such file, and no address to get it from")
        return part.path
    if part.name == "generator":
        return local_generator(part.source, revision) or fetch_generator(part.source, revision)
    return fetch_file(part.name, part.address)


def cards_of(bundles: Iterable[Bundle]) -> Mapping[str, Card]:
    """What the asset cards say that bundles name: fairseq2 is asked where one is not known here.

    Raises:
        UserError: there is no such card.
    """
    named = {
        source: bundle
        for bundle in bundles
        for source in (bundle.encoder, bundle.decoder, bundle.tokenizer)
        if source is not None and is_card(source) and source not in CARDS
    }
    if not named:
        return CARDS
    answer = subprocess.run(
        [sys.executable, "-m", "engine.apart.asset_cards", *named],
        capture_output=True,
        text=True,
        timeout=_CARDS_PATIENCE_S,
    )
    if answer.returncode != 0:
        last_line = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"fairseq2: its asset cards cannot be read: {last_line}")
    found = {name: Card(**fields) for name, fields in json.loads(answer.stdout.splitlines()[-1]).items()}
    for name, bundle in named.items():
        if name not in found:
            raise UserError(f"bundle: {bundle.name}: there is no fairseq2 asset card {name!r}")
    return {**CARDS, **found}


def as_json(part: Part) -> dict[str, object]:
    """A part as JSON can hold it."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(part).items()}


def _file_part(name: str, source: str, cards: Mapping[str, Card], field: str) -> Part:
    card = cards[source] if is_card(source) else None
    at: str = source if card is None else getattr(card, field)
    if not at:
        raise UserError(f"{name}: the asset card {source} has no {field}")
    path = local_file(at)
    if not is_address(at):
        return Part(name, source, None, path, Path(at), *_sizes(path, None, 0))
    about = card.about_bytes if card is not None and field == "checkpoint" else None
    return Part(name, source, at, path, place_of(at), *_sizes(path, about, partly_fetched_bytes(at)))


def _generator_part(bundle: Bundle) -> Part:
    source = bundle.generator
    if is_path(source):
        path = Path(source) if is_complete(Path(source)) else None
        return Part("generator", source, None, path, Path(source), *_sizes(path, None, 0))
    place, path = hub_place(source), local_generator(source, bundle.revision)
    partial = sum(file.stat().st_size for file in place.glob("blobs/*.incomplete"))
    return Part(
        "generator", source, f"hf://{source}", path, place, *_sizes(path, bundle.about_bytes, partial)
    )


def _missing_paths(bundle: Bundle) -> Iterator[str]:
    """What to say of each part that is given as a path where it is not, or not whole."""
    files = {"encoder": bundle.encoder, "decoder": bundle.decoder, "tokenizer": bundle.tokenizer}
    for name, source in files.items():
        if source is not None and is_path(source) and not Path(source).exists():
            yield f"{name}: {source}: no such file"
    directory = Path(bundle.generator)
    if not is_path(bundle.generator):
        return
    if not directory.is_dir():
        yield f"generator: {directory}: no such directory"
    elif not (directory / CONFIG_FILE).is_file():
        yield f"generator: {directory / CONFIG_FILE}: no such file"
    else:
        try:
            weight_files(directory)
        except UserError as error:
            yield f"generator: {error}"


def _sizes(path: Path | None, about: int | None, partial: int) -> tuple[int | None, int]:
    """How large a part is, and how much of it is here."""
    if path is None:
        return about, partial
    files = [path] if path.is_file() else list(path.iterdir())
    if (path / CONFIG_FILE).is_file():
        files = [path / CONFIG_FILE, *weight_files(path)]
    total = sum(file.stat().st_size for file in files)
    return total, total
