"""fairseq2's asset cards that are known by name, and where fairseq2 keeps what it downloads.

A process that does not import fairseq2 can so tell what is on disk, and put there what is not.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from urllib.parse import urlparse

from engine.mini import DECODER_FILE, ENCODER_FILE, TOKENIZER_FILE, WEIGHTS
from engine.user_directories import base

SONAR_ENCODER = "text_sonar_basic_encoder"
SONAR_DECODER = "text_sonar_basic_decoder"
SONAR_LICENCE = "CC-BY-NC 4.0"

_SONAR = "https://dl.fbaipublicfiles.com/SONAR"
_SONAR_TOKENIZER = f"{_SONAR}/sentencepiece.source.256000.model"


@dataclass(frozen=True)
class Card:
    """What a card says about where its files are: an address, or the path of a local file."""

    checkpoint: str
    tokenizer: str
    about_bytes: int | None = None
    """About how large the checkpoint is; None: not known before it is here."""


CARDS: Mapping[str, Card] = {
    SONAR_ENCODER: Card(f"{_SONAR}/sonar_text_encoder.pt", _SONAR_TOKENIZER, 3_070_000_000),
    SONAR_DECODER: Card(f"{_SONAR}/sonar_text_decoder.pt", _SONAR_TOKENIZER, 3_470_000_000),
    "sonar_mini_encoder": Card(str(WEIGHTS / ENCODER_FILE), str(WEIGHTS / TOKENIZER_FILE)),
    "sonar_mini_decoder": Card(str(WEIGHTS / DECODER_FILE), str(WEIGHTS / TOKENIZER_FILE)),
}
"""Cards by their names: those of the bundles that come with the program. The sizes are those of float32."""


def is_address(source: str) -> bool:
    """Whether this is the address of a download, and not a path."""
    return urlparse(source).scheme in ("http", "https")


def cache_directory() -> Path:
    """Where fairseq2 keeps its downloads, by the same variables."""
    named = os.environ.get("FAIRSEQ2_CACHE_DIR")
    return Path(named).expanduser() if named else base("XDG_CACHE_HOME", ".cache") / "fairseq2" / "assets"


def place_of(address: str) -> Path:
    """The folder for one download; it holds one file, and is there when the whole of it is."""
    return cache_directory() / sha1(address.encode()).hexdigest()[:24]


def local_file(source: str) -> Path | None:
    """A file on disk: a path as it is, an address by way of fairseq2's folder for it; None: not here."""
    if not is_address(source):
        return Path(source) if Path(source).exists() else None
    try:
        found = sorted(place_of(source).iterdir())
    except OSError:
        return None
    return found[0] if len(found) == 1 else None
