"""The digest of weights that did not change since it was computed: of large ones that takes some seconds."""

import json
import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from engine.models.digest import VERSION, FileIdentity, file_identity
from engine.user_directories import cache_dir

FILE = "weights-digests.json"
"""In `cache_dir()`: digests by what they are of, the newest last."""

MOST = 100

SETTLED_S = 2.0
"""A file that was changed so shortly before may be changed again without its times telling it."""


@dataclass(frozen=True)
class HashedPart:
    """What decides about a part's share in a digest."""

    files: tuple[FileIdentity, ...]
    """As they were before they were opened."""

    weights: tuple[tuple[str, tuple[int, ...]], ...]
    """Names and shapes, in the model's order."""


class RememberedDigest:
    """What the digest of some parts was when it was last computed, by this process or another."""

    def __init__(self, key: str | None, files: Sequence[FileIdentity]) -> None:
        """Args:
        key: what it is remembered by; None: not at all.
        files: all that the weights are from.
        """
        self._key = key
        self._files = files
        self.value = None if key is None else _read().get(key)
        """In hexadecimal; None where it is not known."""

    @classmethod
    def of(cls, parts: Mapping[str, HashedPart]) -> Self:
        """That of parts, by their names, in the order in which they are hashed.

        There is none of files that changed a moment ago, in the future, or that are no plain files.
        """
        files = [identity for part in parts.values() for identity in part.files]
        described = json.dumps([VERSION, [[name, asdict(part)] for name, part in parts.items()]])
        key = sha256(described.encode()).hexdigest() if all(map(_is_settled, files)) else None
        return cls(key, files)

    def keep(self, digest: str) -> None:
        """Remember the digest that was computed, unless the files have changed meanwhile."""
        if self._key is None or digest == self.value:
            return
        with suppress(OSError):  # a cache that cannot be written is none
            if all(file_identity(Path(identity.path)) == identity for identity in self._files):
                known = {key: value for key, value in _read().items() if key != self._key}
                _write(dict([*known.items(), (self._key, digest)][-MOST:]))


def _is_settled(identity: FileIdentity) -> bool:
    newest_s = max(identity.modified_ns, identity.changed_ns) / 1e9
    return stat.S_ISREG(identity.mode) and newest_s < time.time() - SETTLED_S


def _read() -> dict[str, str]:
    try:
        known = json.loads((cache_dir() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if _is_sha256(key) and _is_sha256(value)}


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _write(known: Mapping[str, str]) -> None:
    """Replace the file as a whole: another process may read it at any moment."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    new = cache_dir() / f"{FILE}.{os.getpid()}"
    new.write_text(json.dumps(known, indent=1), encoding="utf-8")
    new.replace(cache_dir() / FILE)
